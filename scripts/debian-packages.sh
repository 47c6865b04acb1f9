# Debian 12's packages of any architecture, for scripts that source this file: apt with a state of its own, so that the
# system's sources, architectures and package lists stay as they are. Signatures are checked against the system's
# debian-archive-keyring.
# The script sets $cache (where the state and the packages are kept) and $script (its name, for messages) before.

# apt_state ARCHITECTURE: makes the state, without touching the network; sets $apt.
apt_state() {
  apt=$cache/apt-$1
  mirror=${SOLDER_DEBIAN_MIRROR:-http://deb.debian.org/debian}
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  if [ ! -f $keyring ]; then
    echo "$script: $keyring is missing: apt-get install debian-archive-keyring" >&2
    exit 1
  fi
  mkdir -p "$apt/etc/preferences.d" "$apt/etc/sources.list.d" "$apt/state/lists/partial" "$apt/cache/archives/partial"
  : > "$apt/status"
  cat > "$apt/etc/sources.list" <<SOURCES
deb [arch=$1 signed-by=$keyring] $mirror bookworm main
deb [arch=$1 signed-by=$keyring] $mirror bookworm-updates main
SOURCES
  # Read after the system's own configuration, so that its proxy settings stay and its hooks do not.
  cat > "$apt/apt.conf" <<CONF
APT::Architecture "$1";
#clear APT::Architectures;
APT::Architectures { "$1"; };
APT::Sandbox::User "$(id -un)";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Acquire::Languages "none";
Acquire::Retries "3";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
Dir::Etc::sourcelist "$apt/etc/sources.list";
Dir::Etc::sourceparts "$apt/etc/sources.list.d";
Dir::Etc::preferences "$apt/etc/preferences";
Dir::Etc::preferencesparts "$apt/etc/preferences.d";
Dir::Etc::trusted "/dev/null";
Dir::Etc::trustedparts "/dev/null";
CONF
}

apt_update() {
  apt-get -q -q -c "$apt/apt.conf" update
}

# fetch PACKAGE -> prints the path of its .deb, which apt checked against the signed lists
fetch() {
  version=$(apt-cache -c "$apt/apt.conf" show --no-all-versions "$1" | sed -n 's/^Filename: .*\///p')
  if [ -z "$version" ]; then
    echo "$script: $mirror has no package $1" >&2
    exit 1
  fi
  mkdir -p "$apt/debs/$1"
  if [ ! -f "$apt/debs/$1/.done-$version" ]; then
    rm -f "$apt/debs/$1"/*.deb
    (cd "$apt/debs/$1" && apt-get -q -q -c "$apt/apt.conf" download "$1" >&2)
    : > "$apt/debs/$1/.done-$version"
  fi
  ls "$apt/debs/$1"/*.deb
}
