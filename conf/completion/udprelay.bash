# Completion of udprelay(1) for bash.

# Completes the last item of a list of charsets: all that iconv knows, or common ones if nothing is typed yet.
_udprelay_charsets() {
	local list= item=$1 names='utf-8 gbk gb18030 big5 shift_jis euc-jp euc-kr iso-8859-1 windows-1252 hex'

	if [[ $item == *,* ]]; then
		list=${item%,*},
		item=${item##*,}
	fi
	if [[ -n $item ]]; then
		names+=" $(iconv -l 2>/dev/null | sed 's/[/ ,].*//')"
		[[ $item == *[A-Z]* ]] && names=${names^^} || names=${names,,}
	fi
	mapfile -t COMPREPLY < <(compgen -P "$list" -W "$names" -- "$item" | sort -u)
}

_udprelay() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]} words=

	COMPREPLY=()
	# For bash, the "=" of --file=FILE is a separate word.
	if [[ $word == = ]]; then
		word=
	elif [[ $before == = ]]; then
		before=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	case $command in
	send) words='-e --encoding -d --decoding --errors -x --hex -f --file --newline -w --wait --raw -b --bind -4 --ipv4 -6 --ipv6 -q --quiet -h --help' ;;
	listen) words='-e --encoding --errors --echo -q --quiet -h --help' ;;
	ping) words='-c --count -i --interval -s --size -W --timeout --flood --json -q --quiet -b --bind -4 --ipv4 -6 --ipv6 -h --help' ;;
	load) words='-f --flows -d --depth -r --rate -s --size -t --train -n --duration -b --bind --idle --receivers --echo-peers --hold --json -q --quiet -4 --ipv4 -6 --ipv6 --yes-i-own-it -h --help' ;;
	esac
	if ((COMP_CWORD == 1)); then
		mapfile -t COMPREPLY < <(compgen -W 'send listen ping load -V --version -h --help' -- "$word")
		return
	fi
	case $command:$before in
	send:-e | send:--encoding | send:-d | send:--decoding | listen:-e | listen:--encoding)
		_udprelay_charsets "$word"
		return
		;;
	send:-f | send:--file)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	send:--errors | listen:--errors) words='strict replace ignore backslashreplace' ;;
	# These options have a number or an address for a value.
	send:-[wb] | ping:-[cisWb] | load:-[fdrstnb]) words= ;;
	*:--wait | *:--bind | *:--count | *:--interval | *:--size | *:--timeout | *:--flows | *:--depth | *:--rate | *:--train | *:--duration | *:--idle | *:--receivers | *:--echo-peers) words= ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _udprelay udprelay
