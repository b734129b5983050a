#compdef udprelay
# Completion of udprelay(1) for zsh.

# A charset, or the last one of a list: all that iconv knows, or common ones if nothing is typed yet.
_udprelay_charsets() {
	local -a names

	compset -P '*,'
	names=(utf-8 gbk gb18030 big5 shift_jis euc-jp euc-kr iso-8859-1 windows-1252 hex)
	if [[ -n $PREFIX ]]; then
		names+=(${(f)"$(iconv -l 2>/dev/null | sed 's/[/ ,].*//')"})
		[[ $PREFIX == *[A-Z]* ]] && names=(${(U)names}) || names=(${(L)names})
	fi
	compadd -X 'charset' -- ${(u)names}
}

_udprelay() {
	local context state state_descr line curcontext=$curcontext
	local -A opt_args
	local -a address quiet errors target

	address=(
		'(-b --bind)'{-b+,--bind=}'[send from this address]:address: '
		'(-4 --ipv4 -6 --ipv6)'{-4,--ipv4}'[use IPv4 addresses only]'
		'(-4 --ipv4 -6 --ipv6)'{-6,--ipv6}'[use IPv6 addresses only]'
	)
	quiet=('(-q --quiet)'{-q,--quiet}'[print less]' '(- *)'{-h,--help}'[print the help]')
	errors=('--errors=[handling of bytes and characters that do not fit]:rule:(strict replace ignore backslashreplace)')
	target=(':host:_hosts' ':port: ')
	_arguments -C \
		'(- *)'{-V,--version}'[print the version]' \
		'(- *)'{-h,--help}'[print the help]' \
		':command:((send\:"send texts and show replies" listen\:"show datagrams that arrive at a port" ping\:"measure round trips" load\:"generate load and measure"))' \
		'*::argument:->arguments'
	[[ $state == arguments ]] || return
	case $words[1] in
	send)
		_arguments -s -S $address $quiet $errors $target \
			'(-e --encoding)'{-e+,--encoding=}'[charset of sent texts]:charset:_udprelay_charsets' \
			'(-d --decoding)'{-d+,--decoding=}'[charsets of replies]:charsets:_udprelay_charsets' \
			'(-x --hex)'{-x,--hex}'[the text is hex digits]' \
			'(-f --file)'{-f+,--file=}'[send the bytes of a file]:file:_files' \
			'--newline[send a newline behind each text]' \
			'(-w --wait)'{-w+,--wait=}'[wait for replies]:seconds: ' \
			'--raw[write replies unchanged]' \
			'*:text: '
		;;
	listen)
		_arguments -s -S $quiet $errors ':port: ' \
			'(-e --encoding)'{-e+,--encoding=}'[charsets of datagrams]:charsets:_udprelay_charsets' \
			'--echo[send each datagram back]'
		;;
	ping)
		_arguments -s -S $address $quiet $target \
			'(-c --count)'{-c+,--count=}'[number of datagrams]:number: ' \
			'(-i --interval)'{-i+,--interval=}'[time between datagrams]:seconds: ' \
			'(-s --size)'{-s+,--size=}'[size of a datagram]:bytes: ' \
			'(-W --timeout)'{-W+,--timeout=}'[wait for the last replies]:seconds: ' \
			'--flood[send the next datagram as soon as a reply arrives]' \
			'--json[print one JSON object]'
		;;
	load)
		_arguments -s -S $address $quiet $target \
			'(-f --flows)'{-f+,--flows=}'[number of sockets]:number: ' \
			'(-d --depth)'{-d+,--depth=}'[datagrams in flight per flow]:number: ' \
			'(-r --rate)'{-r+,--rate=}'[datagrams per second]:number: ' \
			'(-s --size)'{-s+,--size=}'[size of a datagram]:bytes: ' \
			'(-t --train)'{-t+,--train=}'[datagrams per train]:number: ' \
			'(-n --duration)'{-n+,--duration=}'[duration]:seconds: ' \
			'--idle=[additional silent sessions]:number: ' \
			'--receivers=[receivers of a forwarder]:number: ' \
			'--echo-peers=[echoing peers of a relay]:number: ' \
			'--hold[wait for a line on standard input]' \
			'--json[print one JSON object]' \
			'--yes-i-own-it[permit public addresses]'
		;;
	esac
}

_udprelay "$@"
