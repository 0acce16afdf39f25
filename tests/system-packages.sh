#!/bin/sh
# The system packages that the tests need: real ODBC drivers, real database servers, a real browser with the library
# that Playwright's driver wants (libatomic1), and git for the reviews.
# Installed when this is root on a Debian system; named otherwise. Nothing is skipped in silence.
set -eu
packages="git libatomic1 unixodbc odbc-postgresql odbc-mariadb libsqliteodbc odbc-mdbtools mdbtools postgresql mariadb-server"
packages="$packages chromium"
missing=""
if command -v chromium >/dev/null || command -v google-chrome >/dev/null; then
    packages=${packages% chromium}
fi
for package in $packages; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "Installing the system packages that the tests need:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    case "$missing" in
    *chromium*)
        if ! apt-cache policy chromium | grep -q "Candidate: [0-9]"; then
            echo "There is no package of Chromium, as on Ubuntu: install the snap, or Google Chrome from" >&2
            echo "https://www.google.com/chrome, so that it is on the PATH. Then run the same command again." >&2
            exit 1
        fi
        ;;
    esac
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
    exit 0
fi
echo "The tests need system packages that are not installed:$missing" >&2
echo "Install them, for example with: sudo apt-get install --no-install-recommends$missing" >&2
echo "Then run the same command again." >&2
exit 1
