#!/usr/bin/env bash
# Puts the clients of the compatibility matrix that are no dependencies of ours into a directory, and writes there where
# they are (`environment`), for run.sh. What a registry or the machine refuses is named, and its rows are not run.
#
#   bash test/compat/install.sh <directory>
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
cache=$1
mkdir -p "$cache"
export DEBIAN_FRONTEND=noninteractive

# quietly <seconds at most> <log> <command...>
quietly() {
  local limit=$1 log=$2
  shift 2
  timeout --kill-after=10 "$limit" "$@" >>"$cache/$log.log" 2>&1
}

missing() { printf '    not installed: %s (%s)\n' "$1" "$2"; }

# Debian's packages, as root or by sudo without a password.
debian() {
  local root=()
  command -v apt-get >/dev/null || return 1
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || return 1
    root=(sudo -n --preserve-env=DEBIAN_FRONTEND)
  fi
  quietly 120 debian "${root[@]}" apt-get install -y -qq --no-install-recommends "$@" && return
  quietly 120 debian "${root[@]}" apt-get update -qq &&
    quietly 120 debian "${root[@]}" apt-get install -y -qq --no-install-recommends "$@"
}

install_debian() {
  command -v kcat >/dev/null || debian kcat || missing kcat 'apt-get could not install it'
  /usr/bin/python3 -c 'import confluent_kafka' 2>/dev/null || debian python3-confluent-kafka ||
    missing 'librdkafka of Debian' 'apt-get could not install python3-confluent-kafka'
}

install_python() {
  local python="$cache/python/bin/python"
  if [ ! -x "$python" ]; then
    quietly 60 python python3 -m venv "$cache/python" || { missing 'clients in Python' 'no venv'; return; }
  fi
  quietly 180 python "$python" -m pip install --disable-pip-version-check --only-binary :all: -r drivers/requirements.txt ||
    missing 'clients in Python' "pip could not install them: $cache/python.log"
}

install_java() {
  command -v mvn >/dev/null && command -v javac >/dev/null || { missing 'the Java client' 'no mvn or javac'; return; }
  mkdir -p "$cache/java"
  cp -r java/. "$cache/java/"
  quietly 200 java mvn -q -B -f "$cache/java/pom.xml" compile dependency:copy-dependencies -DincludeScope=runtime ||
    missing 'the Java client' "mvn could not build its driver: $cache/java.log"
}

install_go() {
  command -v go >/dev/null || { missing franz-go 'no go'; return; }
  quietly 300 go go build -C go -trimpath -o "$cache/compat-go" . ||
    missing franz-go "go could not build its driver: $cache/go.log"
}

install_debian &
install_python &
install_java &
install_go &
wait

cat >"$cache/environment" <<ENVIRONMENT
export COMPAT_DEBIAN_PYTHON=/usr/bin/python3
export COMPAT_PYTHON=$cache/python/bin/python
export COMPAT_JAVA_TARGET=$cache/java/target
export COMPAT_GO=$cache/compat-go
ENVIRONMENT
