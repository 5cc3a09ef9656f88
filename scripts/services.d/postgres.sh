# shellcheck shell=bash
# PostgreSQL: a server named by HIGHWATER_TEST_POSTGRES, a private cluster, or a container; in this order.
# Read by scripts/services, which defines the helpers used here.

postgres_minimum=15

postgres_up() {
  local bin
  if postgres_is_named; then
    postgres_check_named
  elif postgres_is_up; then
    say "postgres is already up at $(postgres_address)"
  elif bin="$(postgres_bin)" && postgres_has_owner; then
    postgres_up_cluster "$bin"
  elif docker_usable; then
    up_container postgres HIGHWATER_POSTGRES_PORT
  else
    postgres_explain_missing
    return 3
  fi
}

postgres_down() {
  case "$(state_get postgres.kind)" in
    cluster) postgres_down_cluster ;;
    container) compose rm --stop --force --volumes postgres >&2 ;;
    *) say "postgres was not started from here"; return 0 ;;
  esac
  state_forget postgres.
  say "postgres is down"
}

postgres_status() { status_of postgres; }

postgres_env() {
  local bin
  if bin="$(postgres_bin)"; then
    printf 'export HIGHWATER_TEST_PG_BIN=%q\n' "$bin"
  fi
  env_of postgres HIGHWATER_TEST_POSTGRES
}

# --- The developer's own server ---------------------------------------------------------------------------------------

postgres_is_named() { names_another HIGHWATER_TEST_POSTGRES "$(postgres_address)"; }

# The address may hold a password, so it is never printed.
postgres_check_named() {
  local psql version
  if ! psql="$(postgres_psql)"; then
    say "postgres is the server named by HIGHWATER_TEST_POSTGRES (unchecked: there is no psql here)"
    return 0
  fi
  version="$(PGCONNECT_TIMEOUT=10 "$psql" -X -qAt -c 'show server_version_num' "$HIGHWATER_TEST_POSTGRES" \
    </dev/null 2>/dev/null)" || version=""
  if [[ -z $version ]]; then
    die "the server named by HIGHWATER_TEST_POSTGRES does not answer; start it, or unset the variable"
  fi
  if [[ $version -lt ${postgres_minimum}0000 ]]; then
    die "the server named by HIGHWATER_TEST_POSTGRES is older than PostgreSQL $postgres_minimum"
  fi
  say "postgres is the server named by HIGHWATER_TEST_POSTGRES"
}

postgres_psql() {
  local bin
  if bin="$(postgres_bin)" && [[ -x $bin/psql ]]; then
    printf '%s\n' "$bin/psql"
  else
    command -v psql
  fi
}

# --- A private cluster ------------------------------------------------------------------------------------------------

# An earlier cluster goes on with its data; one that runs but does not answer, or that the state has forgotten, is
# stopped first.
postgres_up_cluster() {
  local bin="$1" folder
  folder="$(state_get postgres.folder)"
  folder="${folder:-$services_dir/postgres}"
  postgres_stop "$bin" "$folder" immediate
  if [[ ! -f $folder/data/PG_VERSION ]] || ! postgres_start "$bin" "$folder"; then
    postgres_delete_folder "$folder"
    folder="$(postgres_new_folder)" || die "found no folder that the user postgres may write to"
    postgres_init "$bin" "$folder"
    postgres_start "$bin" "$folder" || {
      tail -n 20 "$folder/log" >&2
      die "PostgreSQL does not start"
    }
  fi
  say "postgres is up at $(postgres_address) (private cluster in $folder)"
}

# An interrupted `up` must leave enough behind for `down`, so the state is written before the server starts. The start is
# repeated because a killed server blocks the next one until its parent has reaped it and its children have gone.
postgres_start() {
  local bin="$1" folder="$2" port attempt
  state_set postgres.kind cluster
  state_set postgres.folder "$folder"
  state_set postgres.bin "$bin"
  port="$(state_get postgres.port)"
  for attempt in 1 2 3 4 5; do
    if [[ -z $port ]] || port_answers "$port"; then
      port="$(free_port)" || die "found no free port"
    fi
    state_set postgres.port "$port"
    if postgres_as_owner "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -o "-p $port" -t 60 -w start >/dev/null 2>&1
    then
      return 0
    fi
    say "PostgreSQL did not start on port $port (attempt $attempt of 5)"
    sleep 1
  done
  return 1
}

# What is acknowledged must be on disk in tests too: fsync, synchronous_commit and full_page_writes stay on. There is no
# Unix socket, because the path of one must not be longer than about a hundred bytes.
postgres_init() {
  local bin="$1" folder="$2"
  postgres_as_owner "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C >/dev/null
  cat >>"$folder/data/postgresql.conf" <<'CONF'
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
CONF
  printf 'host all all 127.0.0.1/32 trust\n' >"$folder/data/pg_hba.conf"
}

postgres_down_cluster() {
  local folder
  folder="$(state_get postgres.folder)"
  postgres_stop "$(state_get postgres.bin)" "$folder" fast
  postgres_delete_folder "$folder"
}

postgres_stop() {
  local bin="$1" folder="$2" mode="$3"
  if postgres_process_is_ours "$folder"; then
    postgres_as_owner "$bin/pg_ctl" -D "$folder/data" -m "$mode" -t 60 -w stop >/dev/null
  fi
}

# Under the checkout if the server's user can reach it there, else under the temporary folder.
postgres_new_folder() {
  local base folder="$services_dir/postgres"
  mkdir -p "$folder"
  if postgres_give_to_owner "$folder"; then
    printf '%s\n' "$folder"
    return
  fi
  rmdir "$folder"
  for base in "${TMPDIR:-/tmp}" /tmp; do
    folder="$(mktemp -d "$base/highwater-postgres.XXXXXX")" || continue
    if postgres_give_to_owner "$folder"; then
      printf '%s\n' "$folder"
      return
    fi
    rmdir "$folder"
  done
  return 1
}

postgres_give_to_owner() {
  [[ $EUID -ne 0 ]] || chown postgres: "$1"
  chmod 700 "$1"
  postgres_as_owner test -w "$1" -a -x "$1"
}

# The name is checked, because a state file is only a text file, and `rm -rf` believes everything.
postgres_delete_folder() {
  case "$1" in
    "$services_dir/postgres" | */highwater-postgres.??????) rm -rf -- "$1" ;;
    *) die "will not delete $1: it is not a folder of this script" ;;
  esac
}

# PostgreSQL refuses to run as root.
postgres_has_owner() {
  [[ $EUID -ne 0 ]] && return 0
  command -v runuser >/dev/null && id -u postgres >/dev/null 2>&1
}

# From the root folder, since the caller's may be closed to that user. Descriptor 9 is the lock of scripts/services.
postgres_as_owner() {
  if [[ $EUID -eq 0 ]]; then
    (cd / && exec runuser -u postgres -- "$@" </dev/null 9>&-)
  else
    (cd / && exec "$@" </dev/null 9>&-)
  fi
}

# --- What is there ----------------------------------------------------------------------------------------------------

postgres_address() {
  local port
  port="$(state_get postgres.port)"
  [[ -z $port ]] || printf 'postgres://postgres@127.0.0.1:%s/postgres\n' "$port"
}

postgres_is_up() {
  local port
  port="$(state_get postgres.port)"
  [[ -n $port ]] && port_answers "$port" || return 1
  case "$(state_get postgres.kind)" in
    cluster) postgres_process_is_ours "$(state_get postgres.folder)" ;;
    container) [[ -n $(compose ps --quiet --status running postgres 2>/dev/null) ]] ;;
    *) return 1 ;;
  esac
}

# The pid file may be stale and its pid may be another program's by now: the command line names the data folder.
postgres_process_is_ours() {
  local pid
  pid="$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null)" && [[ "$(command_of "$pid")" == *"$1/data"* ]]
}

# The folder of the newest server, not older than the minimum, that is installed here; or the one that the developer
# names by HIGHWATER_TEST_PG_BIN.
postgres_bin() {
  local folder version best="" best_version=$((postgres_minimum * 1000 - 1))
  if [[ -n ${HIGHWATER_TEST_PG_BIN:-} ]]; then
    printf '%s\n' "$HIGHWATER_TEST_PG_BIN"
    return
  fi
  while IFS= read -r folder; do
    version="$(postgres_version "$folder")" || continue
    if [[ $version -gt $best_version ]]; then
      best="$folder" best_version="$version"
    fi
  done < <(postgres_bin_candidates)
  [[ -n $best ]] && printf '%s\n' "$best"
}

# A folder named wrongly is an error, not a reason to search.
postgres_check_bin_variable() {
  [[ -z ${HIGHWATER_TEST_PG_BIN:-} ]] || postgres_version "$HIGHWATER_TEST_PG_BIN" >/dev/null ||
    die "HIGHWATER_TEST_PG_BIN names a folder without postgres, pg_ctl and initdb: $HIGHWATER_TEST_PG_BIN"
}

# 15.4 is 15004, a beta of 18 is 18000.
postgres_version() {
  [[ -x $1/postgres && -x $1/pg_ctl && -x $1/initdb ]] || return 1
  "$1/postgres" --version 2>/dev/null | awk '{
    split($3, part, ".")
    print (part[1] + 0) * 1000 + part[2] + 0
  }'
}

postgres_bin_candidates() {
  local name found folder
  for name in postgres pg_ctl initdb; do
    found="$(command -v "$name")" || continue
    dirname "$(readlink -f "$found" 2>/dev/null || printf '%s' "$found")"
    dirname "$found"
  done
  if command -v pg_config >/dev/null; then
    pg_config --bindir 2>/dev/null || true
  fi
  # Debian; Red Hat; SUSE; Alpine; Homebrew on ARM, Intel and Linux; Postgres.app; MacPorts; from source.
  for folder in \
    /usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/lib/postgresql[0-9]*/bin /usr/libexec/postgresql[0-9]* \
    /opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin /home/linuxbrew/.linuxbrew/opt/postgresql*/bin \
    /Applications/Postgres.app/Contents/Versions/*/bin /opt/local/lib/postgresql*/bin /usr/local/pgsql/bin; do
    [[ -d $folder ]] && printf '%s\n' "$folder"
  done
  return 0
}

postgres_explain_missing() {
  say "NO POSTGRESQL: there is no server $postgres_minimum or newer here that this user can run, and no Docker engine."
  say "Every test against PostgreSQL is skipped without one. Any of these helps:"
  say "  Debian, Ubuntu  apt-get install postgresql"
  say "  macOS           brew install postgresql@17"
  say "  Docker          start the engine; scripts/services finds it"
  say "  your own        export HIGHWATER_TEST_POSTGRES=postgres://USER:PASSWORD@HOST:PORT/DATABASE"
}
