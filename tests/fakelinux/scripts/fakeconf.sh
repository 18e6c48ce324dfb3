#!/bin/sh
# fakeconf.sh KCONFIG OLD NEW: every known symbol gets its value of OLD if its
# dependency is met; unknown ones vanish in silence, as in the real Kconfig.
awk -v old="$2" '
BEGIN {
	while ((getline line < old) > 0)
		if (match(line, /^CONFIG_[A-Z0-9_]+=/)) {
			name = substr(line, 8, RLENGTH - 8)
			want[name] = substr(line, RLENGTH + 1)
		}
}
/^config / { symbol = $2; order[++count] = symbol; next }
/^[ \t]*bool/ { next }
/^[ \t]*(int|string)/ { typed[symbol] = 1; next }
/^[ \t]*default/ { initial[symbol] = $2; next }
/^[ \t]*depends on/ { needs[symbol] = $3; next }
/^[ \t]*(#.*)?$/ { next }
{ printf "%s:%d: unknown statement \"%s\"\n", FILENAME, FNR, $1 > "/dev/stderr"; exit bad = 1 }
END {
	if (bad) exit 1
	for (i = 1; i <= count; i++) {
		s = order[i]
		value = (s in want) ? want[s] : (s in initial) ? initial[s] : "n"
		if ((s in needs) && final[needs[s]] != "y") value = "n"
		final[s] = value
		print (value == "n") ? "# CONFIG_" s " is not set" : "CONFIG_" s "=" value
	}
}' "$1" > "$3.new" || { rm -f "$3.new"; exit 1; }
mv "$3.new" "$3"
