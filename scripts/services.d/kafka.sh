# shellcheck shell=bash
# Apache Kafka: servers named by HIGHWATER_TEST_KAFKA, a private server from jars, or a container; in this order.
# Read by scripts/services, which defines the helpers used here.

kafka_java_minimum=17
kafka_settings="$root/scripts/services.d/kafka"
kafka_folder="$services_dir/kafka"
kafka_fetched="$services_dir/kafka-jars"
kafka_classes="$kafka_fetched/classes.jsa"

# The jars are worth having beside a named cluster too: with them tests run, and kill, clusters of their own.
kafka_up() {
  if kafka_is_named; then
    kafka_check_named
    kafka_has_server || say "no Kafka server to be had here: tests that kill one are skipped"
  elif kafka_is_up; then
    say "kafka is already up at $(kafka_address)"
  elif kafka_has_server; then
    kafka_up_broker
  elif docker_usable; then
    up_container kafka HIGHWATER_KAFKA_PORT
  else
    kafka_explain_missing
    return 3
  fi
}

kafka_down() {
  case "$(state_get kafka.kind)" in
    broker) kafka_stop && rm -rf -- "$kafka_folder" ;;
    container) compose rm --stop --force --volumes kafka >&2 ;;
    *) say "kafka was not started from here"; return 0 ;;
  esac
  state_forget kafka.
  say "kafka is down"
}

kafka_status() { status_of kafka; }

kafka_env() {
  local libs
  if libs="$(kafka_libs)" && kafka_java >/dev/null; then
    printf 'export HIGHWATER_TEST_KAFKA_LIBS=%q\n' "$libs"
  fi
  env_of kafka HIGHWATER_TEST_KAFKA
}

# --- The developer's own cluster --------------------------------------------------------------------------------------

kafka_is_named() { names_another HIGHWATER_TEST_KAFKA "$(kafka_address)"; }

# One server that answers will name the others.
kafka_check_named() {
  local server servers
  IFS=, read -r -a servers <<<"$HIGHWATER_TEST_KAFKA"
  for server in "${servers[@]}"; do
    [[ $server =~ ^[^[:space:]/]+:[0-9]+$ ]] ||
      die "HIGHWATER_TEST_KAFKA must be HOST:PORT, or several with commas between them: $HIGHWATER_TEST_KAFKA"
    if kafka_answers "${server%:*}" "${server##*:}"; then
      say "kafka is the cluster named by HIGHWATER_TEST_KAFKA"
      return 0
    fi
  done
  die "no Kafka answers at HIGHWATER_TEST_KAFKA=$HIGHWATER_TEST_KAFKA; start it, or unset the variable"
}

# --- A private server -------------------------------------------------------------------------------------------------

# An earlier server goes on with its data. One that runs but does not answer is stopped first, and data that no server
# starts on is given up.
kafka_up_broker() {
  kafka_stop
  state_set kafka.kind broker
  if [[ ! -f $kafka_folder/data/meta.properties ]] || ! kafka_start; then
    rm -rf -- "$kafka_folder"
    mkdir -p "$kafka_folder"
    kafka_start || {
      tail -n 20 "$kafka_folder/log" >&2
      die "Kafka does not start"
    }
  fi
  [[ -f $kafka_classes || $(kafka_libs) != "$kafka_fetched" ]] || kafka_write_classes
  say "kafka is up at $(kafka_address) (private server in $kafka_folder)"
}

# Repeated, because a port that was free a moment ago may be another's by now.
kafka_start() {
  local attempt
  for attempt in 1 2 3; do
    kafka_configure
    [[ -f $kafka_folder/data/meta.properties ]] || kafka_format || return 1
    kafka_launch
    ! kafka_await || return 0
    kafka_stop
    say "Kafka did not start at $(kafka_address) (attempt $attempt of 3)"
  done
  return 1
}

# An earlier port is kept if it can be, for whoever has it in his environment.
kafka_configure() {
  local port controller
  port="$(state_get kafka.port)"
  if [[ -z $port ]] || port_answers "$port"; then
    port="$(free_port)" || die "found no free port"
    state_set kafka.port "$port"
  fi
  controller="$(free_port)" && [[ $controller != "$port" ]] || die "found no free port"
  cat "$kafka_settings/server.properties" - >"$kafka_folder/server.properties" <<CONF
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$port
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
CONF
}

# An id of its own: a server must not be taken for one that had the port before.
kafka_format() {
  local id
  id="A$(head -c 15 /dev/urandom | base64 | tr '+/' '-_')A"
  (kafka_become -Xmx128m kafka.tools.StorageTool format -t "$id" -c "$kafka_folder/server.properties" \
    >"$kafka_folder/log" 2>&1)
}

# The classes of a server, laid out for Java to map: the servers and tools that tests start take half the time then. A server that
# stops in order writes them.
kafka_write_classes() {
  local pid began="$SECONDS"
  say "laying out the classes of Kafka (once)"
  kafka_stop
  kafka_launch -XX:+UseSerialGC -XX:ArchiveClassesAtExit="$kafka_classes.new"
  pid="$(kafka_pid)"
  ! kafka_await || kill -TERM "$pid"
  while kill -0 "$pid" 2>/dev/null && [[ $((SECONDS - began)) -lt 120 ]]; do
    sleep 0.2
  done
  if kill -0 "$pid" 2>/dev/null; then
    kafka_stop
  else
    rm -f -- "$kafka_folder/pid"
    mv -- "$kafka_classes.new" "$kafka_classes" || say "Java has laid out no classes"
  fi
  kafka_start || die "Kafka does not start"
}

# Further options for Java may be given.
kafka_launch() {
  kafka_become -Xmx512m "$@" kafka.Kafka "$kafka_folder/server.properties" >>"$kafka_folder/log" 2>&1 &
  printf '%s\n' "$!" >"$kafka_folder/pid"
  # Otherwise the shell would report its end.
  disown "$!"
}

# The shell becomes a program from the jars, in the server's folder. Descriptor 9 is the lock of scripts/services; a hang-up of the
# terminal is not meant for a server.
kafka_become() {
  local memory="$1" java libs
  shift
  java="$(kafka_java)" && libs="$(kafka_libs)" && cd "$kafka_folder" &&
    exec nohup "$java" "$memory" -Dlog4j2.configurationFile="$kafka_settings/log4j2.xml" -cp "$libs/*" "$@" </dev/null 9>&-
}

# Until the server answers, or has given up, or a minute is over.
kafka_await() {
  local began="$SECONDS" pid
  pid="$(kafka_pid)"
  while kill -0 "$pid" 2>/dev/null && [[ $((SECONDS - began)) -lt 60 ]]; do
    ! kafka_answers 127.0.0.1 "$(state_get kafka.port)" || return 0
    sleep 0.2
  done
  return 1
}

# Without a farewell: what it stored is either deleted or, like after any crash, good enough to go on with.
kafka_stop() {
  local began="$SECONDS"
  while kafka_process_is_ours; do
    [[ $((SECONDS - began)) -lt 20 ]] || die "the Kafka server with the pid $(kafka_pid) cannot be stopped"
    kill -KILL "$(kafka_pid)" 2>/dev/null || true
    sleep 0.1
  done
}

# --- What is there ----------------------------------------------------------------------------------------------------

kafka_address() {
  local port
  port="$(state_get kafka.port)"
  [[ -z $port ]] || printf '127.0.0.1:%s\n' "$port"
}

kafka_is_up() {
  local port
  port="$(state_get kafka.port)"
  [[ -n $port ]] || return 1
  case "$(state_get kafka.kind)" in
    broker) kafka_process_is_ours ;;
    container) [[ -n $(compose ps --quiet --status running kafka 2>/dev/null) ]] ;;
    *) return 1 ;;
  esac && kafka_answers 127.0.0.1 "$port"
}

kafka_pid() { cat "$kafka_folder/pid" 2>/dev/null; }

# The pid file may be stale and its pid may be another program's by now: the command line names the settings.
kafka_process_is_ours() {
  local pid
  pid="$(kafka_pid)" && [[ "$(command_of "$pid")" == *"$kafka_folder/server.properties"* ]]
}

# Asks for metadata (request 3 in version 1, of no topic), and wants an answer to this request that names a live server.
# A port may answer before the server is let into its own cluster.
kafka_answers() {
  local answer host="${1#[}"
  answer="$(limited 10 bash -c '
    exec 3<>"/dev/tcp/$1/$2" || exit 1
    printf "\0\0\0\x0e\0\x03\0\x01hiwa\xff\xff\0\0\0\0" >&3
    head -c 12 <&3 | od -An -v -tx1 | tr -d " \n"
  ' _ "${host%]}" "$2" 2>/dev/null)" || return 1
  [[ ${answer:8:8} == 68697761 && ${answer:16} =~ ^0000[0-9a-f]{4}$ && ${answer:16} != 00000000 ]]
}

kafka_has_server() { kafka_java >/dev/null && { kafka_libs >/dev/null || kafka_fetch; }; }

# The folder of the jars: the one that the developer names by HIGHWATER_TEST_KAFKA_LIBS, or the one that was filled here.
# A copy of the list of the jars is put there last, so a fetch that was interrupted, or of another list, does not count.
kafka_libs() {
  if kafka_libs_are_named; then
    printf '%s\n' "$HIGHWATER_TEST_KAFKA_LIBS"
  else
    cmp -s "$kafka_settings/pom.xml" "$kafka_fetched/pom.xml" && printf '%s\n' "$kafka_fetched"
  fi
}

kafka_libs_are_named() {
  [[ -n ${HIGHWATER_TEST_KAFKA_LIBS:-} && ${HIGHWATER_TEST_KAFKA_LIBS:-} != "$kafka_fetched" ]]
}

# A folder named wrongly is an error, not a reason to fetch.
kafka_check_libs_variable() {
  ! kafka_libs_are_named || compgen -G "$HIGHWATER_TEST_KAFKA_LIBS/kafka_2*.jar" >/dev/null ||
    die "HIGHWATER_TEST_KAFKA_LIBS names a folder without the jars of a Kafka server: $HIGHWATER_TEST_KAFKA_LIBS"
}

# They outlive `down`, so that this needs the network once.
kafka_fetch() {
  command -v mvn >/dev/null || return 1
  say "fetching the jars of Kafka (54 MB, once)"
  rm -rf -- "$kafka_fetched"
  mkdir -p "$kafka_fetched"
  if mvn -q -B --strict-checksums -f "$kafka_settings/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$kafka_fetched" </dev/null 9>&- >"$kafka_fetched/log" 2>&1
  then
    cp "$kafka_settings/pom.xml" "$kafka_fetched/pom.xml"
  else
    grep -m 3 ERROR "$kafka_fetched/log" >&2 || true
    say "Maven could not fetch the jars of Kafka (all that it said: $kafka_fetched/log)"
    return 1
  fi
}

# The tests look for it by the same rule. On macOS /usr/bin/java may be there and only say that there is no Java.
kafka_java() {
  local java="${JAVA_HOME:-}/bin/java" version
  [[ -n ${JAVA_HOME:-} && -x $java ]] || java="$(command -v java)" || return 1
  version="$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')" || return 1
  [[ ${version:-0} -ge $kafka_java_minimum ]] && printf '%s\n' "$java"
}

kafka_explain_missing() {
  say "NO KAFKA: there is no Java $kafka_java_minimum or newer here, or no Maven that can fetch the server, and no Docker engine."
  say "Every test against Kafka is skipped without one. Any of these helps:"
  say "  Debian, Ubuntu  apt-get install default-jre-headless maven"
  say "  macOS           brew install openjdk maven"
  say "  Docker          start the engine; scripts/services finds it"
  say "  your own        export HIGHWATER_TEST_KAFKA=HOST:PORT"
}
