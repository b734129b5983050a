# Completion of udprelay(1) for fish.

# A charset, or the last one of a list: all that iconv knows, or common ones if nothing is typed yet.
function __udprelay_charsets
    set -l typed (string replace -r -- '^--[a-z]+=' '' (commandline -ct))
    set -l list (string match -r -- '.*,' $typed)
    set -l item (string replace -r -- '.*,' '' $typed)
    set -l names utf-8 gbk gb18030 big5 shift_jis euc-jp euc-kr iso-8859-1 windows-1252 hex
    if test -n "$item"
        set names $names (iconv -l 2>/dev/null | string replace -r -- '[/ ,].*' '')
        if string match -qr -- '[A-Z]' $item
            set names (string upper -- $names)
        else
            set names (string lower -- $names)
        end
    end
    printf '%s\n' "$list"$names | sort -u
end

function __udprelay_option -a command short long
    set -l condition "__fish_seen_subcommand_from $command"
    set -l flags
    test -n "$short"; and set flags -s $short
    complete -c udprelay -n $condition $flags -l $long $argv[4..-1]
end

complete -c udprelay -f
complete -c udprelay -n __fish_use_subcommand -a send -d 'send texts and show replies'
complete -c udprelay -n __fish_use_subcommand -a listen -d 'show datagrams that arrive at a port'
complete -c udprelay -n __fish_use_subcommand -a ping -d 'measure round trips'
complete -c udprelay -n __fish_use_subcommand -a load -d 'generate load and measure'
complete -c udprelay -n __fish_use_subcommand -s V -l version -d 'print the version'
complete -c udprelay -s h -l help -d 'print the help'

for command in send listen
    __udprelay_option $command e encoding -x -a '(__udprelay_charsets)' -d 'charset'
    __udprelay_option $command '' errors -x -a 'strict replace ignore backslashreplace' -d 'bytes that do not fit'
end
for command in send listen ping load
    __udprelay_option $command q quiet -d 'print less'
end
for command in send ping load
    __udprelay_option $command b bind -x -d 'send from this address'
    __udprelay_option $command 4 ipv4 -d 'use IPv4 addresses only'
    __udprelay_option $command 6 ipv6 -d 'use IPv6 addresses only'
end
for command in ping load
    __udprelay_option $command s size -x -d 'size of a datagram'
    __udprelay_option $command '' json -d 'print one JSON object'
end

__udprelay_option send d decoding -x -a '(__udprelay_charsets)' -d 'charsets of replies'
__udprelay_option send x hex -d 'the text is hex digits'
__udprelay_option send f file -r -F -d 'send the bytes of a file'
__udprelay_option send '' newline -d 'send a newline behind each text'
__udprelay_option send w wait -x -d 'seconds to wait for replies'
__udprelay_option send '' raw -d 'write replies unchanged'

__udprelay_option listen '' echo -d 'send each datagram back'

__udprelay_option ping c count -x -d 'number of datagrams'
__udprelay_option ping i interval -x -d 'seconds between datagrams'
__udprelay_option ping W timeout -x -d 'seconds to wait for the last replies'
__udprelay_option ping '' flood -d 'send the next datagram as soon as a reply arrives'

__udprelay_option load f flows -x -d 'number of sockets'
__udprelay_option load d depth -x -d 'datagrams in flight per flow'
__udprelay_option load r rate -x -d 'datagrams per second'
__udprelay_option load t train -x -d 'datagrams per train'
__udprelay_option load n duration -x -d 'seconds'
__udprelay_option load '' idle -x -d 'additional silent sessions'
__udprelay_option load '' receivers -x -d 'receivers of a forwarder'
__udprelay_option load '' echo-peers -x -d 'echoing peers of a relay'
__udprelay_option load '' hold -d 'wait for a line on standard input'
__udprelay_option load '' yes-i-own-it -d 'permit public addresses'

functions -e __udprelay_option
