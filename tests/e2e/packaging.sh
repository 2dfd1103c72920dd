#!/usr/bin/env bash
# What is installed: settings file, manual, completion and units say what the program says, and the
# daemon gets along with a service manager. What the machine lacks is skipped.
# Usage: packaging.sh BUILD_TREE
set -uo pipefail
cd "$(dirname "$0")/../.." || exit
out=$(realpath "$1")
sluiced=$out/sluiced
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# check TEST: runs the function of that name
check()
{
    if "$1" >"$work/log" 2>&1; then
        echo "[       OK ] $1"
    else
        echo "[  FAILED  ] $1"
        tail -n 40 "$work/log"
        failed=1
    fi
}

# check_with TOOL TEST
check_with()
{
    if command -v "$1" >/dev/null; then
        check "$2"
    else
        echo "[  SKIPPED ] $2: no $1 here"
    fi
}

flags_of_help()
{
    "$sluiced" --help | sed -n 's/^  -/-/p' | tr -d ',' | tr ' ' '\n' | grep '^-' | sort
}

settings_file_is_the_option_table()
{
    diff configs/sluiced.conf <(configs/describe_options.sh conf "$sluiced")
}

settings_file_shows_the_defaults()
{
    sed 's/^#\([a-z-]* =\)/\1/' configs/sluiced.conf >"$work/all.conf"
    [ "$(grep -c '^[a-z]' "$work/all.conf")" -ge 30 ] || return 1
    diff <("$sluiced" --check-config --model m) <("$sluiced" --check-config --model m --config "$work/all.conf")
}

# Every setting, and no other, stands in the file.
settings_file_is_complete()
{
    diff <("$sluiced" --check-config --model m | sed 's/ =.*//') <(sed -n 's/^#\([a-z-]*\) =.*/\1/p' configs/sluiced.conf)
}

manual_names_every_option()
{
    local flag page
    page=$(sed 's/\\f[BIR]//g; s/\\-/-/g; s/\\://g' "$work/root/usr/local/share/man/man8/sluiced.8")
    flags_of_help | while read -r flag; do
        grep -qE -e "(^|, )$flag(,| |\$)" <<<"$page" || { echo "$flag"; exit 1; }
    done || return 1
    "$sluiced" --help | grep -o '^ *SLUICE_[A-Z_]*; default: .*' | while read -r facts; do
        grep -qF -e "$facts" <<<"$page" || { echo "$facts"; exit 1; }
    done
}

manual_is_well_formed()
{
    local complaints
    complaints=$(groff -man -Tutf8 -ww "$work/root/usr/local/share/man/man8/sluiced.8" 2>&1 >/dev/null)
    [ -z "$complaints" ] || { echo "$complaints"; return 1; }
}

# complete_words WORD...: what completion offers after "sluiced WORD..."
complete_words()
{
    bash -c 'source configs/sluiced.bash-completion
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _sluiced
        printf "%s\n" "${COMPREPLY[@]}"' _ "$sluiced" "$@"
}

completion_offers_every_option()
{
    diff <(flags_of_help) <(complete_words - | grep -v '^--no-' | sort) || return 1
    # what it offers to turn off can be turned off
    complete_words --no- | while read -r flag; do
        "$sluiced" --check-config --model m "$flag" >/dev/null || exit 1
    done
}

completion_offers_choices()
{
    diff <(printf '%s\n' avx2 avx512) <(complete_words --isa av) &&
        diff <(printf '%s\n' avx2 avx512) <(complete_words --isa = av) &&
        diff <(echo --port) <(complete_words --allow-public --po) &&
        [ -z "$(complete_words --model "")" ]
}

commands_of_help()
{
    "$sluiced" --help | sed -n '1,/^Commands/d; s/^  \([a-z]*\) .*/\1/p'
}

flags_of_command()
{
    "$sluiced" "$1" --help | sed -n 's/^  \(--[a-z-]*\).*/\1/p'
}

manual_explains_every_command()
{
    local command flag page
    page=$(sed 's/\\f[BIR]//g; s/\\-/-/g' "$work/root/usr/local/share/man/man8/sluiced.8" |
        sed -n '/^\.SH COMMANDS/,/^\.SH SIGNALS/p')
    [ -n "$(commands_of_help)" ] || return 1
    for command in $(commands_of_help); do
        grep -qx -e ".SS $command" <<<"$page" || { echo "$command"; return 1; }
        for flag in $(flags_of_command "$command"); do
            sed -n "/^.SS $command\$/,/^.S/p" <<<"$page" | grep -qE -e "^$flag( |\$)" || { echo "$command $flag"; return 1; }
        done
    done
}

completion_knows_the_commands()
{
    local command
    diff <(commands_of_help | sort) <(complete_words "" | grep -v '^-' | sort) || return 1
    diff <(echo render) <(complete_words re) || return 1
    for command in $(commands_of_help); do
        diff <({ flags_of_command "$command"; echo --help; } | sort) <(complete_words "$command" - | sort) || return 1
    done
    [ -z "$(complete_words render --template "")" ]
}

install_there()
{
    DESTDIR=$work/root configs/install.sh "$1" "$out"
}

installed_tree_is_complete()
{
    local file
    install_there install || return 1
    for file in usr/local/bin/sluiced etc/sluice/sluiced.conf usr/local/lib/systemd/system/sluiced.service \
        usr/local/lib/systemd/system/sluiced.socket usr/local/share/man/man8/sluiced.8 \
        usr/local/share/bash-completion/completions/sluiced; do
        [ -s "$work/root/$file" ] || { echo "$file is missing"; return 1; }
    done
    "$work/root/usr/local/bin/sluiced" --check-config --model m --config "$work/root/etc/sluice/sluiced.conf"
}

paths_follow_the_prefix()
{
    DESTDIR=$work/elsewhere PREFIX=/usr SYSCONFDIR=/opt/etc configs/install.sh install "$out" || return 1
    grep -qx 'ExecStart=/usr/bin/sluiced --config /opt/etc/sluice/sluiced.conf' \
        "$work/elsewhere/usr/lib/systemd/system/sluiced.service"
}

settings_of_the_owner_survive()
{
    local settings=$work/root/etc/sluice/sluiced.conf
    echo 'port = 9000' >>"$settings"
    cp "$settings" "$work/mine.conf"
    install_there install && cmp "$settings" "$work/mine.conf" && cmp configs/sluiced.conf "$settings.example" || return 1
    install_there uninstall && cmp "$settings" "$work/mine.conf" || return 1
    rm "$settings"
    install_there install && install_there uninstall || return 1
    [ -z "$(find "$work/root" ! -type d)" ] || { find "$work/root" ! -type d; return 1; }
}

# The unit as installed, but for a program that verify can find.
unit_is_valid()
{
    sed "s|/usr/local/bin/|$out/|" configs/sluiced.service >"$work/sluiced.service"
    cp configs/sluiced.socket "$work"
    local complaints
    complaints=$(systemd-analyze verify --man=no "$work/sluiced.service" "$work/sluiced.socket" 2>&1) || return 1
    # of other units of this machine it may complain as it likes
    ! grep -F 'sluiced.' <<<"$complaints"
}

unit_is_hardened()
{
    systemd-analyze security --offline=true --threshold=10 configs/sluiced.service
}

# The manager must wait longer than the default drain.
unit_outwaits_the_drain()
{
    local stop_s drain_ms
    stop_s=$(sed -n 's/^TimeoutStopSec=//p' configs/sluiced.service)
    drain_ms=$("$sluiced" --check-config --model m | sed -n 's/^shutdown-timeout-ms = //p')
    [ $((stop_s * 1000)) -gt $((drain_ms + 30000)) ]
}

model=${SLUICE_DATA:-../shared/data}/models/tinystories-656k/derived/tinystories-656k-Q8_0.gguf
if [ ! -e "$model" ]; then
    model=$out/e2e-model.gguf
    [ -e "$model" ] || "$out/tests/tool_synth_gguf" "$model" --preset micro --arch llama --seed 1
fi

check settings_file_is_the_option_table
check settings_file_shows_the_defaults
check settings_file_is_complete
check installed_tree_is_complete
check manual_names_every_option
check_with groff manual_is_well_formed
check completion_offers_every_option
check completion_offers_choices
check manual_explains_every_command
check completion_knows_the_commands
check paths_follow_the_prefix
check settings_of_the_owner_survive
check_with systemd-analyze unit_is_valid
check_with systemd-analyze unit_is_hardened
check unit_outwaits_the_drain
python3 -B tests/e2e/service_tests.py "$sluiced" "$model" || failed=1
exit "$failed"
