#!/bin/sh
# Installs a built tree, or takes the installed files away again.
# Usage: install.sh install|uninstall BUILD_TREE, with DESTDIR and PREFIX, and, where they differ from
# the usual, BINDIR MANDIR SYSCONFDIR UNITDIR COMPLETIONDIR, in the environment.
set -eu
cd "$(dirname "$0")/.."
action=$1
out=$2
PREFIX=${PREFIX:-/usr/local}
BINDIR=${BINDIR:-$PREFIX/bin}
MANDIR=${MANDIR:-$PREFIX/share/man}
UNITDIR=${UNITDIR:-$PREFIX/lib/systemd/system}
COMPLETIONDIR=${COMPLETIONDIR:-$PREFIX/share/bash-completion/completions}
SYSCONFDIR=${SYSCONFDIR:-/etc}
root=${DESTDIR:-}
settings=$root$SYSCONFDIR/sluice/sluiced.conf

# put MODE FILE FOLDER [NAME]
put()
{
    install -d "$root$3"
    install -m "$1" "$2" "$root$3/${4:-$(basename "$2")}"
}

# Units and manual name the places of a default installation.
put_with_paths()
{
    install -d "$root$2"
    sed -e "s|/usr/local/bin/|$BINDIR/|g" -e "s|/etc/sluice/|$SYSCONFDIR/sluice/|g" >"$root$2/$1"
    chmod 644 "$root$2/$1"
}

install_all()
{
    put 755 "$out/sluiced" "$BINDIR"
    [ ! -e "$out/sluice-bench" ] || put 755 "$out/sluice-bench" "$BINDIR"
    for unit in sluiced.service sluiced.socket; do
        put_with_paths "$unit" "$UNITDIR" <"configs/$unit"
    done
    configs/describe_options.sh man "$out/sluiced" | put_with_paths sluiced.8 "$MANDIR/man8"
    put 644 configs/sluiced.bash-completion "$COMPLETIONDIR" sluiced
    # What somebody has set is theirs: the defaults of this version go beside it.
    name=sluiced.conf
    if [ -e "$settings" ] && ! cmp -s configs/sluiced.conf "$settings"; then
        name=sluiced.conf.example
    fi
    put 644 configs/sluiced.conf "$SYSCONFDIR/sluice" "$name"
    [ -n "$root" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
    echo "installed $root$BINDIR/sluiced; settings: $root$SYSCONFDIR/sluice/$name"
}

uninstall_all()
{
    rm -f "$root$BINDIR/sluiced" "$root$BINDIR/sluice-bench" "$root$UNITDIR/sluiced.service" \
        "$root$UNITDIR/sluiced.socket" "$root$MANDIR/man8/sluiced.8" "$root$COMPLETIONDIR/sluiced" \
        "$settings.example"
    if cmp -s configs/sluiced.conf "$settings"; then
        rm "$settings"
    elif [ -e "$settings" ]; then
        echo "kept: $settings"
    fi
    rmdir "$root$SYSCONFDIR/sluice" 2>/dev/null || true
}

case $action in
install) install_all ;;
uninstall) uninstall_all ;;
*) echo "install.sh: neither install nor uninstall" >&2 && exit 64 ;;
esac
