# What is checked around the commands of docs/deploy.md, in the container. tests/packages/run puts
# the commands after this file: before and after those of each heading it calls the functions that
# have the name of the heading.
set -euo pipefail
cp /results/skirmish.deb /root/skirmish.deb
ca=/root/ca.pem
export CURL_CA_BUNDLE=$ca
# For certbot: its settings, and the certificate of the ACME server.
export XDG_CONFIG_HOME=/root/config REQUESTS_CA_BUNDLE=/root/pebble/certificate.pem

say() { printf '\n== %s\n' "$*"; }
fail() {
    echo "FAILED: $*"
    journalctl --no-pager -n 50 -u skirmish.service -u skirmish.socket || true
    exit 1
}
trap 'fail "line $LINENO: $BASH_COMMAND"' ERR
set -E
before() { ! declare -F "before_$1" >/dev/null || "before_$1"; }
after() { ! declare -F "after_$1" >/dev/null || "after_$1"; }
is() { [ "$1" = "$2" ] || fail "$3: expected \"$2\", got \"$1\""; }
has() { case "$1" in *"$2"*) ;; *) fail "\"$2\" is not in \"$1\"" ;; esac; }
state_of() { systemctl "$1" "$2" || true; }
main_pid() { systemctl show -p MainPID --value skirmish.service; }

# All files but those that a running system changes, those of certbot, and those of the test.
files() {
    find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/tmp \
        -o -path /results -o -path /root -o -path /var/log -o -path /var/cache -o -path /var/lib/apt \
        -o -path /var/lib/dpkg -o -path /var/lib/systemd -o -path /etc/letsencrypt \
        -o -path /var/lib/letsencrypt -o -path /dev \) -prune -o -print | sort
}

before_all() {
    echo "127.0.0.1 localhost play.example.com" >>/etc/hosts
    files >/root/files-before
}

# Pebble signs what certbot asks for, as Let's Encrypt does. The settings of certbot name it, and
# answer what certbot asks its user otherwise.
before_get_a_certificate() {
    mkdir /root/pebble
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
        -keyout /root/pebble/key.pem -out "$REQUESTS_CA_BUNDLE" -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost 2>/dev/null
    cat >/root/pebble/config.json <<'END'
{"pebble": {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
 "certificate": "/root/pebble/certificate.pem", "privateKey": "/root/pebble/key.pem", "httpPort": 80}}
END
    # Without its random delays and errors; and each order has to prove the name.
    systemd-run --quiet --unit=pebble --setenv=PEBBLE_VA_NOSLEEP=1 \
        --setenv=PEBBLE_WFE_NONCEREJECT=0 --setenv=PEBBLE_AUTHZREUSE=0 \
        pebble -config /root/pebble/config.json
    curl -sS --fail --cacert "$REQUESTS_CA_BUNDLE" --retry 100 --retry-delay 1 \
        --retry-connrefused https://localhost:15000/roots/0 >"$ca"
    mkdir -p "$XDG_CONFIG_HOME/letsencrypt"
    cat >"$XDG_CONFIG_HOME/letsencrypt/cli.ini" <<'END'
server = https://localhost:14000/dir
non-interactive = true
agree-tos = true
register-unsafely-without-email = true
END
}

# The serial number of the certificate that the server uses.
serial() {
    openssl s_client -connect play.example.com:443 -servername play.example.com </dev/null \
        2>/dev/null | openssl x509 -noout -serial
}

after_install_it() {
    for unit in skirmish.service skirmish.socket; do
        is "$(state_of is-enabled $unit)" disabled "$unit after the installation"
        is "$(state_of is-active $unit)" inactive "$unit after the installation"
    done
    is "$(stat -c '%U:%G %a' /etc/skirmish)" "root:skirmish 750" "/etc/skirmish"
    is "$(dpkg --verify skirmish)" "" "files that differ from the package"
    systemd-analyze verify /usr/lib/systemd/system/skirmish.service \
        /usr/lib/systemd/system/skirmish.socket
    # Less is better; 2.0 is the most.
    systemd-analyze security --threshold=20 --no-pager skirmish.service | tail -1
}

after_get_a_certificate() {
    is "$(stat -c '%U:%G %a' /etc/skirmish/privkey.pem)" "skirmish:skirmish 400" "the key"
}

before_open_the_ports() { nft -f /etc/nftables.conf; }
after_open_the_ports() { has "$(nft list ruleset)" "tcp dport { 80, 443 } accept"; }

# Real players, who have to join and to receive states.
play() {
    skirmish load wss://play.example.com/ --ca "$ca" --clients 20 --seconds 2 --seed 1 \
        --expect 'states_min>=1' >/root/load.txt || fail "the load test: $(cat /root/load.txt)"
}

after_start_it() {
    is "$(state_of is-active skirmish.service)" active "the service"
    is "$(curl -sS --fail https://play.example.com/healthz)" ok "/healthz"
    has "$(curl -sS --fail https://play.example.com/battle.html)" "<title>"
    has "$(curl -sS --fail --insecure https://localhost/metrics)" skirmish_ticks_total
    is "$(stat -c %U "/proc/$(main_pid)")" skirmish "the user"
    grep -q "^NoNewPrivs:.1" "/proc/$(main_pid)/status" || fail "new privileges are possible"
    grep -q "^Seccomp:.2" "/proc/$(main_pid)/status" || fail "system calls are not filtered"
    play
}

before_change_settings() {
    pid=$(main_pid)
    echo SKIRMISH_ROOMS_MAX=many >>/etc/skirmish/skirmish.env
    ! systemctl reload skirmish.service 2>/dev/null || fail "wrong settings pass the reload"
    journalctl --sync
    has "$(journalctl --no-pager -u skirmish.service)" 'skirmish: invalid value "many"'
    is "$(main_pid)" "$pid" "the process after a reload with wrong settings"
    is "$(curl -sS --fail https://play.example.com/healthz)" ok "/healthz with wrong settings"
    sed -i '$d' /etc/skirmish/skirmish.env
    mkdir /srv/skirmish
    echo "my own page" >/srv/skirmish/index.html
    echo SKIRMISH_WWW=/srv/skirmish >>/etc/skirmish/skirmish.env
}

after_watch_it() {
    status() { curl -sS -o /dev/null -w '%{http_code}' "$@"; }
    is "$(status http://127.0.0.1:9765/status)" 401 "the status page without the token"
    is "$(status -u ":$(cat /etc/skirmish/token)" http://127.0.0.1:9765/status)" 200 "the status page"
    has "$(curl -sS --fail http://127.0.0.1:9765/metrics)" skirmish_ticks_total
    is "$(stat -c %a /etc/skirmish/token)" 600 "the mode of the token file"
    runuser -u skirmish -- test -r /etc/skirmish/token || fail "the server cannot read the token"
}

after_change_settings() {
    [ "$(main_pid)" != "$pid" ] || fail "the server was not restarted"
    is "$(curl -sS --fail https://play.example.com/)" "my own page" "the page of SKIRMISH_WWW"
    [ -s /var/lib/skirmish/state ] || fail "no state was written"
    # New pages need only the reload.
    pid=$(main_pid)
    echo "a new page" >/srv/skirmish/index.html
    systemctl reload skirmish.service
    for _ in $(seq 100); do
        page=$(curl -sS --fail https://play.example.com/)
        [ "$page" != "a new page" ] || break
    done
    is "$page" "a new page" "the page after a reload"
    is "$(main_pid)" "$pid" "the process after a reload"
    # While the server restarts, no connection is refused.
    systemctl --no-block restart skirmish.service
    for _ in $(seq 20); do curl -sS --fail https://play.example.com/ >/dev/null; done
    for _ in $(seq 5000); do
        [ "$(main_pid)" = "$pid" ] || [ "$(main_pid)" = 0 ] || break
        curl -sS --fail https://play.example.com/ >/dev/null
    done
    [ "$(main_pid)" != "$pid" ] || fail "the server was not restarted"
    # A renewed certificate is used without a restart. The timer of certbot runs this command without
    # --force-renewal.
    local before after
    before=$(serial)
    pid=$(main_pid)
    certbot --quiet renew --force-renewal --no-random-sleep-on-renew
    for _ in $(seq 600); do
        after=$(serial)
        [ "$after" = "$before" ] || break
    done
    [ "$after" != "$before" ] || fail "the old certificate is still used"
    is "$(curl -sS --fail https://play.example.com/healthz)" ok "/healthz after the renewal"
    is "$(main_pid)" "$pid" "the process after the renewal"
}

after_when_you_are_attacked() { has "$(admin bans)" '"bans":[]'; }

# The server itself is the game here.
before_run_a_game_of_your_own() { cp /usr/bin/skirmish /usr/local/bin/tag; }
after_run_a_game_of_your_own() {
    is "$(readlink "/proc/$(main_pid)/exe")" /usr/local/bin/tag "the program"
    systemctl reload skirmish.service
    play
    rm -r /etc/systemd/system/skirmish.service.d /usr/local/bin/tag
    systemctl daemon-reload
    systemctl restart skirmish.service
    is "$(readlink "/proc/$(main_pid)/exe")" /usr/bin/skirmish "the program afterwards"
}

# Without the socket the server opens the port itself, and systemd starts it again after a crash.
alone() {
    systemctl stop skirmish.socket skirmish.service
    echo SKIRMISH_PORT=443 >>/etc/skirmish/skirmish.env
    systemctl start skirmish.service
    is "$(curl -sS --fail https://play.example.com/healthz)" ok "/healthz without the socket"
    pid=$(main_pid)
    kill -KILL "$pid"
    for _ in $(seq 5000); do
        ! curl -sS --fail https://play.example.com/healthz >/dev/null 2>&1 || [ "$(main_pid)" = "$pid" ] || break
    done
    [ "$(main_pid)" != "$pid" ] || fail "the server was not started again"
    is "$(state_of is-active skirmish.service)" active "the service after a crash"
    systemctl stop skirmish.service
    sed -i '$d' /etc/skirmish/skirmish.env
    systemctl start skirmish.socket skirmish.service
}

# A package with a higher version and the same files.
before_update_it() {
    alone
    pid=$(main_pid)
    dpkg-deb -R skirmish.deb newer
    sed -i 's/^Version: .*/&+test/' newer/DEBIAN/control
    dpkg-deb -Znone -b newer skirmish.deb >/dev/null
    rm -r newer
}

after_update_it() {
    has "$(dpkg -s skirmish)" "-1+test"
    [ "$(main_pid)" != "$pid" ] || fail "the server was not restarted"
    is "$(state_of is-enabled skirmish.service)" enabled "the service after the update"
    grep -q "^SKIRMISH_HOST" /etc/skirmish/skirmish.env || fail "the settings were replaced"
    play
}

after_back_it_up() {
    local files
    files=$(tar -tzf skirmish-backup.tar.gz)
    has "$files" etc/skirmish/privkey.pem
    has "$files" var/lib/skirmish/state
}

before_remove_it() {
    apt-get remove -y skirmish >/dev/null
    [ -f /etc/skirmish/skirmish.env ] || fail "a removed package has to keep its settings"
    [ -f /var/lib/skirmish/state ] || fail "a removed package has to keep its state"
    is "$(state_of is-active skirmish.service)" inactive "the service after the removal"
}

after_remove_it() {
    systemctl stop pebble.service
    rm -r /srv/skirmish
    id skirmish >/dev/null || fail "the user has to stay"
    # adduser keeps copies of the files of users.
    files | diff /root/files-before - | grep -E '^[<>]' |
        grep -vE '^> /etc/(passwd|group|shadow|gshadow|subuid|subgid)-$' >/root/left || true
    is "$(cat /root/left)" "" "files that are left after the purge"
}

after_all() { touch /results/done; }
