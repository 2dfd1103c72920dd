#!/bin/sh
# Writes the manual page or the settings file out of what `sluiced --help` and the help of its commands
# say, so that neither can say anything else.
# Usage: describe_options.sh man|conf SLUICED
set -eu
what=$1
sluiced=$2
# "sluiced 1.2.3" -> 1.2.3
version=$("$sluiced" --version | sed -n '1s/.* //p')

# One option is a line of flags ("  --name, -n VALUE"), a line of help, and, but for those that do
# something instead of serving, a line "VARIABLE; default: X; range", each six spaces in. The commands
# follow, a line each ("  name  summary"). In the help of one, an option stands in 30 columns ("  --name
# VALUE") and what it does behind them.
{
    "$sluiced" --help
    for command in $("$sluiced" --help | sed -n '1,/^Commands/d; s/^  \([a-z]*\) .*/\1/p'); do
        echo "@command $command"
        "$sluiced" "$command" --help
    done
} | awk -v what="$what" -v version="$version" '
function roff(text)
{
    gsub(/\\/, "\\e", text)
    gsub(/-/, "\\-", text)
    gsub(/\|/, "|\\:", text) # a list of choices may go on in the next line
    return text ~ /^[.\047]/ ? "\\&" text : text
}
function sentence(text) { return toupper(substr(text, 1, 1)) substr(text, 2) }
function emit_man()
{
    bold = flags
    value = sub(/ VALUE$/, "", bold) ? " \\fIVALUE\\fR" : sub(/ FILE$/, "", bold) ? " \\fIFILE\\fR" : ""
    gsub(/-/, "\\-", bold)
    gsub(/, /, "\\fR, \\fB", bold)
    printf ".TP\n\\fB%s\\fR%s\n%s.\n", bold, value, roff(sentence(help))
    if (facts != "") printf ".br\n%s.\n", roff(facts)
}
function emit_conf()
{
    if (facts == "" || flags ~ /^--config/) return
    name = flags
    sub(/^--/, "", name)
    sub(/[, ].*/, "", name)
    value = facts
    sub(/^[A-Z_]+; default: /, "", value)
    range = index(value, "; ") ? substr(value, index(value, "; ") + 2) : ""
    sub(/; .*/, "", value)
    if (value == "none") value = ""
    printf "\n# %s%s\n#%s =%s\n", help, range == "" ? "" : " (" range ")", name, value == "" ? "" : " " value
}
function emit_command_option()
{
    if (left == "") return
    bold = left
    value = match(bold, / [A-Z]+$/) ? " \\fI" substr(bold, RSTART + 1) "\\fR" : ""
    sub(/ [A-Z]+$/, "", bold)
    printf ".TP\n\\fB%s\\fR%s\n%s.\n", roff(bold), value, roff(sentence(right))
    left = ""
}
# One line of the help of a command.
function command_line(line)
{
    if (sub(/^usage: /, "", line)) {
        printf ".SS %s\n.B %s\n.PP\n", command, roff(line)
    } else if (line ~ /^  --/) {
        emit_command_option()
        left = substr(line, 3, 28)
        sub(/ +$/, "", left)
        right = substr(line, 31)
    } else if (line ~ /^ +[^ ]/) {
        sub(/^ +/, "", line)
        right = right " " line
    } else if (line != "" && line != "Options") {
        print roff(line)
    }
}
function emit() { if (flags != "") { if (what == "man") emit_man(); else emit_conf() } flags = "" }
BEGIN {
    if (what == "man") {
        printf ".TH SLUICED 8 \"\" \"sluiced %s\" \"System administration\"\n", version
        print ".ad l" # long lists of choices leave nothing to stretch a line by
        print ".SH NAME\nsluiced \\- serves a large language model over HTTP"
        print ".SH SYNOPSIS\n.B sluiced\n[\\fIoption\\fR ...]\n.br\n.B sluiced\n\\fIcommand\\fR ..."
        print ".SH DESCRIPTION\nServes a GGUF model to clients of the OpenAI protocol."
        print "Settings come from flags, then the environment, then the file, then defaults."
        print "A switch is turned off by \\fB\\-\\-no\\-\\fINAME\\fR."
        print ".SH OPTIONS\nBelow each: its environment variable, its default, its range."
    } else {
        print "# Settings of sluiced. Each line shows a default: uncomment it to change it. Flags and environment"
        print "# variables (SLUICE_ and the name in capitals) win over this file. Check it with"
        print "#   sluiced --config FILE --check-config"
    }
}
/^@command / {
    emit()
    emit_command_option()
    if (command == "" && what == "man") {
        print ".SH COMMANDS\nWith one of these as its first argument, \\fBsluiced\\fR does that and does not serve."
    }
    command = $2
    next
}
command != "" { if (what == "man") command_line($0); next }
/^  -/ { emit(); flags = substr($0, 3); help = facts = ""; next }
/^      / && flags != "" {
    if (help == "") help = substr($0, 7); else facts = substr($0, 7)
}
END {
    emit()
    if (what != "man") exit
    emit_command_option()
    print ".SH SIGNALS\n.TP\nSIGTERM, SIGINT"
    print "Drain: new requests are refused, accepted ones run on for at most \\fBshutdown\\-timeout\\-ms\\fR."
    print "A second one ends the process at once."
    print ".SH EXIT STATUS\n.TP\n0\nAfter a drain, or after what was asked for instead of serving."
    print ".TP\n1\nThe machine did not allow it: a port in use, too little memory, a file that cannot be read; or a command failed."
    print ".TP\n64\nThe settings, or the arguments of a command, cannot be."
    print ".TP\n65\nThe model file is damaged, or of a kind that is not supported."
    print ".TP\n130\nA signal ended a command."
    print ".SH FILES\n.TP\n/etc/sluice/sluiced.conf\nThe settings of the service."
    print ".SH SYSTEMD\nThe service tells when it is ready, how long it will drain, and, at least twice in every"
    print "\\fBWatchdogSec\\fR, that its engine makes progress. With \\fBsluiced.socket\\fR enabled, systemd holds"
    print "the port, and \\fBhost\\fR and \\fBport\\fR have no effect."
}'
