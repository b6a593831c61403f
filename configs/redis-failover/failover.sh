#!/bin/sh
# Makes a group of redis servers have one master again: run by Backstop's hook in
# redis-failover.toml, whenever a server of the group goes down or comes up.
#
# usage: failover.sh FILE
#   FILE              where the master's name is written down
#   BACKSTOP_SERVERS  the servers, as Backstop gives them: "name=host:port=STATE ..."
#   BACKSTOP_SERVER   the server that went down or came up, if it was one
#   REDISCLI_AUTH     redis' password, if it has one
#   FAILOVER_PATIENCE how many times, a second apart, a silent group is asked again before a
#                     replica is promoted (1)
#
# It may be run at any time and as often as one likes: it looks at what is, and does what is missing.
#   no master, a replica   the replica that has read most of the master's data is promoted
#   one master             every other server that answers is made its replica
#   several masters        the one written down stays, the others become its replicas
#
# Exit code 0: the group has one master. 1: it has none, or a server did not do as told.
# Needs redis-cli and timeout (coreutils or busybox).
set -u

file=${1:?usage: failover.sh FILE}
patience=${FAILOVER_PATIENCE:-1}

# Two runs at once, such as those of two backends with the same servers, would undo each other.
exec 9>"$file.lock" || exit 1
if command -v flock >/dev/null; then
    flock 9
fi

# ask NAME COMMAND...: what the server of that name answers, without carriage returns.
ask() {
    name=$1
    shift
    for word in $BACKSTOP_SERVERS; do
        if [ "${word%%=*}" = "$name" ]; then
            address=${word#*=}
            address=${address%=*}
            host=${address%:*}
            host=${host#[}
            host=${host%]}
            answer=$(timeout 2 redis-cli --no-auth-warning -h "$host" -p "${address##*:}" "$@" 2>/dev/null) \
                || return 1
            printf '%s\n' "$answer" | tr -d '\r'
            return 0
        fi
    done
    return 1
}

# field NAME: what stands after "NAME:" on standard input.
field() {
    sed -n "s/^$1://p"
}

# look: sets masters and replicas to the names of the servers that answer, and best to the replica
# that has read most of its master's data.
look() {
    # A replica that never had its master's data says 1 at most: promoted, it would have the
    # others throw away theirs.
    masters='' replicas='' best='' most=1
    for word in $BACKSTOP_SERVERS; do
        one=${word%%=*}
        info=$(ask "$one" INFO replication) || continue
        case $(printf '%s\n' "$info" | field role) in
            master) masters="$masters $one" ;;
            slave)
                replicas="$replicas $one"
                offset=$(printf '%s\n' "$info" | field slave_repl_offset)
                # A replica of priority 0 is never to be promoted (redis.conf).
                if [ "$(printf '%s\n' "$info" | field slave_priority)" != 0 ] \
                    && [ "${offset:-0}" -gt "$most" ]; then
                    best=$one most=${offset:-0}
                fi
                ;;
        esac
    done
}

# tell NAME COMMAND...: does it, or says that it could not be done.
tell() {
    if [ "$(ask "$@")" = OK ]; then
        return 0
    fi
    echo "$1 did not do this: $2 $3 $4"
    exit 1
}

# persist NAME: has it come back in its new role after a restart, if it has a configuration file.
persist() {
    ask "$1" CONFIG REWRITE >/dev/null
}

# has NAME LIST: whether the name is in the list.
has() {
    case " $2 " in
        *" $1 "*) return 0 ;;
    esac
    return 1
}

# remember NAME: keeps who the master is over a crash of this machine's.
remember() {
    printf '%s\n' "$1" >"$file.new" && mv "$file.new" "$file" || exit 1
}

# follow MASTER: has every other server that answers replicate from it.
follow() {
    for word in $BACKSTOP_SERVERS; do
        if [ "${word%%=*}" = "$1" ]; then
            address=${word#*=}
            address=${address%=*}
        fi
    done
    host=${address%:*}
    host=${host#[}
    host=${host%]}
    port=${address##*:}
    for one in $masters $replicas; do
        [ "$one" != "$1" ] || continue
        info=$(ask "$one" INFO replication) || continue
        if [ "$(printf '%s\n' "$info" | field master_host)" != "$host" ] \
            || [ "$(printf '%s\n' "$info" | field master_port)" != "$port" ]; then
            tell "$one" REPLICAOF "$host" "$port"
            persist "$one"
            done_so="$done_so $one is a replica of $1."
        fi
    done
}

done_so=''
look
while [ -z "$masters" ] && [ "$patience" -gt 0 ]; do
    # A master that only stumbled is better than one that lacks its last writes.
    sleep 1
    patience=$((patience - 1))
    look
done

written=$(cat "$file" 2>/dev/null)
# shellcheck disable=SC2086 # a list of names
set -- $masters
case $# in
    0)
        if [ -z "$best" ]; then
            echo 'there is no master, and no replica that ever had its data'
            exit 1
        fi
        # Written down first: should this run end in between, the next one goes on from here.
        remember "$best"
        tell "$best" REPLICAOF NO ONE
        persist "$best"
        done_so="$done_so $best is the master now."
        follow "$best"
        ;;
    1)
        remember "$1"
        follow "$1"
        ;;
    *)
        if ! has "$written" "$masters"; then
            # Not written down: the one that has just come up is the one that was away.
            written=$1
            if [ "$written" = "${BACKSTOP_SERVER:-}" ]; then
                written=$2
            fi
        fi
        remember "$written"
        follow "$written"
        ;;
esac
echo "${done_so:- nothing was to be done}" | sed 's/^ //'
