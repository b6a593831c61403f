#!/usr/bin/env bash
# Makes Backstop's images, and images under the names that the demos use, for an engine that
# reaches no registry: nginx and the others from the programs installed here, and a build image
# whose `cargo` hands over the program built here. Dockerfiles and compose files stay as they are.
#
# Images that were pulled are left alone: with them only Backstop's own are built.
# There is none for Grafana, which Debian does not have.
# Needs docker, nginx, envsubst, curl, redis, PostgreSQL, keepalived, Prometheus and Rust.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"

nginx_image=nginx:1.28
redis_image=redis:7.4
postgres_image=postgres:17
prometheus_image=prom/prometheus:v3.5.0
debian_image=debian:bookworm-slim
rust_image=rust:1.95-slim-bookworm
# What tells a stand-in from the image that it stands for.
label=backstop.stand-in
# Where programs are inside the images.
program_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

was_pulled() {
    local made
    made=$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null) &&
        [ -z "$made" ]
}

# Copies programs, or libraries by their paths, and the libraries they load to a root directory.
install_programs() {
    local root=$1 program file
    shift
    for program in "$@"; do
        program=$(command -v "$program" || echo "$program")
        for file in "$program" $(ldd "$program" | grep -o '/[^ ]*' || true); do
            mkdir -p "$root$(dirname "$file")"
            cp -L "$file" "$root$file"
        done
    done
}

# A shell and the small programs that entrypoints, health checks and hooks take.
install_shell() {
    install_programs "$1" dash cat chown cut env grep head mkdir mv rm sed sleep tr
    mkdir -p "$1"/{bin,tmp}
    ln -sf "$(command -v dash)" "$1/bin/sh"
}

# Makes an image of a root directory. Standard input is the rest of its Dockerfile.
make_image() {
    docker build --quiet --tag "$1" --file - "$2" <<DOCKERFILE
FROM scratch
COPY . /
ENV PATH=$program_path
LABEL $label=true
$(cat)
DOCKERFILE
}

# As the published image: every template in /etc/nginx/templates becomes a file in
# /etc/nginx/conf.d with the environment's values filled in, and SIGQUIT ends it.
make_nginx() {
    local root=$scratch/nginx
    mkdir -p "$root"/{etc/nginx/conf.d,var/log/nginx,var/lib/nginx,run}
    install_shell "$root"
    install_programs "$root" nginx envsubst curl
    echo 'root:x:0:0:root:/:/bin/sh
nginx:x:101:101:nginx:/:/bin/false' >"$root/etc/passwd"
    echo 'root:x:0:
nginx:x:101:' >"$root/etc/group"
    cat >"$root/etc/nginx/nginx.conf" <<'CONFIG'
user nginx;
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr notice;
events { worker_connections 512; }
http {
    access_log /dev/stdout;
    include /etc/nginx/conf.d/*.conf;
}
CONFIG
    cat >"$root/docker-entrypoint.sh" <<'ENTRYPOINT'
#!/bin/sh
set -e
names=$(env | cut -d= -f1)
variables=
for name in $names; do variables="$variables \${$name}"; done
for template in /etc/nginx/templates/*.template; do
    [ -e "$template" ] || continue
    file=${template##*/}
    envsubst "$variables" <"$template" >"/etc/nginx/conf.d/${file%.template}"
done
exec "$@"
ENTRYPOINT
    chmod +x "$root/docker-entrypoint.sh"
    make_image "$nginx_image" "$root" <<'DOCKERFILE'
STOPSIGNAL SIGQUIT
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["nginx", "-g", "daemon off;"]
DOCKERFILE
}

# As the published image: options alone are redis-server's, which takes clients from everywhere,
# and its data is in /data.
make_redis() {
    local root=$scratch/redis
    mkdir -p "$root/data"
    install_shell "$root"
    install_programs "$root" redis-server redis-cli timeout flock
    cat >"$root/docker-entrypoint.sh" <<'ENTRYPOINT'
#!/bin/sh
set -e
case $1 in
    -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ]; then
    set -- "$@" --protected-mode no
fi
exec "$@"
ENTRYPOINT
    chmod +x "$root/docker-entrypoint.sh"
    make_image "$redis_image" "$root" <<'DOCKERFILE'
VOLUME /data
WORKDIR /data
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["redis-server"]
DOCKERFILE
}

# As the published image: a database without passwords is made if there is none, scripts in
# /docker-entrypoint-initdb.d are run once, and SIGINT ends it.
make_postgres() {
    local root=$scratch/postgres programs library
    programs=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    library=${programs%/bin}/lib
    mkdir -p "$root"/{docker-entrypoint-initdb.d,etc,run,var,usr/share/postgresql,usr/lib/locale}
    ln -s /run "$root/var/run"
    install_shell "$root"
    install_programs "$root" chmod find setpriv sh \
        "$programs"/{initdb,pg_basebackup,pg_ctl,pg_isready,postgres,psql} \
        "$library"/{dict_snowball,libpqwalreceiver,plpgsql}.so
    cp -r "/usr/share/postgresql/$(basename "${programs%/bin}")" "$root/usr/share/postgresql/"
    cp -r /usr/share/zoneinfo "$root/usr/share/"
    cp -r /usr/lib/locale/C.utf8 "$root/usr/lib/locale/"
    find "$root/usr/share/postgresql" -name postgresql.conf.sample \
        -exec sed -i "s/^#listen_addresses = 'localhost'/listen_addresses = '*'/" {} +
    echo 'root:x:0:0:root:/:/bin/sh
postgres:x:999:999:postgres:/:/bin/sh' >"$root/etc/passwd"
    echo 'root:x:0:
postgres:x:999:' >"$root/etc/group"
    cat >"$root/usr/bin/docker-entrypoint.sh" <<'ENTRYPOINT'
#!/bin/sh
set -e
if [ "$1" != postgres ]; then
    exec "$@"
fi
as_postgres() {
    setpriv --reuid postgres --regid postgres --clear-groups "$@"
}
mkdir -p "$PGDATA" /run/postgresql
chown -R postgres:postgres "$PGDATA" /run/postgresql
chmod 700 "$PGDATA"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # The only way in that the demos use.
    [ "$POSTGRES_HOST_AUTH_METHOD" = trust ]
    as_postgres initdb --username postgres
    echo 'host all all all trust' >>"$PGDATA/pg_hba.conf"
    as_postgres pg_ctl --wait start --options "-c listen_addresses=''"
    for file in /docker-entrypoint-initdb.d/*.sh; do
        [ ! -e "$file" ] || as_postgres "$file"
    done
    as_postgres pg_ctl --wait --mode fast stop
fi
exec setpriv --reuid postgres --regid postgres --clear-groups "$@"
ENTRYPOINT
    chmod +x "$root/usr/bin/docker-entrypoint.sh"
    make_image "$postgres_image" "$root" <<DOCKERFILE
ENV PATH=$program_path:$programs LANG=C.UTF-8 PGDATA=/var/lib/postgresql/data
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
DOCKERFILE
}

# As the published image: it reads /etc/prometheus/prometheus.yml, and `promtool` is there.
make_prometheus() {
    local root=$scratch/prometheus
    mkdir -p "$root"/{etc/prometheus,prometheus}
    install_shell "$root"
    install_programs "$root" prometheus promtool
    echo 'nobody:x:65534:65534:nobody:/:/bin/false' >"$root/etc/passwd"
    make_image "$prometheus_image" "$root" <<'DOCKERFILE'
RUN chown -R 65534:65534 /prometheus
USER 65534:65534
VOLUME /prometheus
WORKDIR /prometheus
ENTRYPOINT ["prometheus"]
CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]
DOCKERFILE
}

# An `apt-get` whose `install` brings the programs that the Dockerfiles ask for.
make_debian() {
    local root=$scratch/debian
    mkdir -p "$root"/{etc/keepalived,run,packages,usr/bin}
    install_shell "$root"
    install_programs "$root" cp hostname
    install_programs "$root/packages" curl keepalived
    echo 'root:x:0:0:root:/:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false' >"$root/etc/passwd"
    echo 'root:x:0:
nogroup:x:65534:' >"$root/etc/group"
    cat >"$root/usr/bin/apt-get" <<'APT'
#!/bin/sh
set -e
[ "$1" != install ] || cp -r --no-clobber /packages/. /
APT
    chmod +x "$root/usr/bin/apt-get"
    make_image "$debian_image" "$root" </dev/null
}

# What the build image gets to see, with `.dockerignore` a list of exceptions.
copy_context() {
    rm -rf "$1"
    mkdir -p "$1"
    # shellcheck disable=SC2046 # patterns, one a line
    cp -a $(sed -n 's/^!//p' .dockerignore) "$1"
}

# A `cargo` that answers `install … --root DIRECTORY` with a program that was built before, by
# the same command from the same files.
make_rust() {
    local root=$scratch/rust context=target/image/context
    mkdir -p "$root"/{usr/local/bin,etc/ssl/certs}
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    copy_context "$context"
    # Some crates are built anew, for minutes, when what these say has changed: they are set when
    # this runs in a test and not otherwise.
    unset "${!CARGO_PKG_@}" CARGO_MANIFEST_DIR CARGO_MANIFEST_PATH
    RUSTFLAGS="-C target-feature=+crt-static" CARGO_PROFILE_RELEASE_STRIP=symbols \
        cargo install --locked --path "$context" --root "$scratch/built" --target host-tuple \
        --target-dir target/image --no-track
    cp "$scratch/built/bin/backstop" "$root/backstop"
    install_shell "$root"
    install_programs "$root" cp
    cat >"$root/usr/local/bin/cargo" <<'CARGO'
#!/bin/sh
set -e
[ "$1" = install ]
while [ "$1" != --root ]; do shift; done
mkdir -p "$2/bin"
cp /backstop "$2/bin/backstop"
CARGO
    chmod +x "$root/usr/local/bin/cargo"
    make_image "$rust_image" "$root" </dev/null
}

was_pulled "$nginx_image" || make_nginx
was_pulled "$redis_image" || make_redis
was_pulled "$postgres_image" || make_postgres
was_pulled "$prometheus_image" || make_prometheus
was_pulled "$debian_image" || make_debian
was_pulled "$rust_image" || make_rust
docker build --quiet --tag backstop --file docker/Dockerfile \
    --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" .
docker build --quiet --tag backstop-redis --file docker/redis-failover/Dockerfile .
docker build --quiet --tag backstop-keepalived docker/pair
# Layers of earlier images, which nothing uses any more.
docker image prune --force --filter "label=$label" >/dev/null
docker image prune --force --filter label=org.opencontainers.image.title=Backstop >/dev/null
docker image inspect --format '{{index .RepoTags 0}}: {{.Size}} bytes' \
    "$nginx_image" "$redis_image" "$postgres_image" "$prometheus_image" \
    backstop backstop-redis backstop-keepalived
