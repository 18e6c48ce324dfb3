# Read by bash (BASH_ENV) before a kernel tree's run_vmtests.sh: a run_test of ours stands in for
# the script's, so that one test runs alone, between the script's own set-up and clean-up.
#
#   HARNESS_LIST=FILE    run nothing; write each test's command line to FILE
#   HARNESS_TEST=LINE    run only this test; write its exit code to HARNESS_CODE
unset BASH_ENV		# the scripts that tests are must not read this

run_test()
{
	if [ -n "$HARNESS_LIST" ]; then
		printf '%s\n' "$*" >> "$HARNESS_LIST"
		return 0
	fi
	if [ "$*" != "$HARNESS_TEST" ] || [ -s "$HARNESS_CODE" ]; then
		return 0
	fi
	echo "[harness] begin"
	"$@"
	echo $? > "$HARNESS_CODE"
	echo "[harness] end"
}
readonly -f run_test	# bash says so on stderr where the script defines its own, and goes on
