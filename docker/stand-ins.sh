#!/usr/bin/env bash
# Makes the image `backstop`, and images under the names that the demos use, for an engine that
# reaches no registry: nginx from the programs installed here, and a build image whose `cargo`
# hands over the program built here. The Dockerfile and the compose files stay as they are.
#
# Images that were pulled are left alone: with them only `backstop` is built.
# Needs docker, nginx, envsubst, curl and Rust.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"

nginx_image=nginx:1.28
rust_image=rust:1.95-slim-bookworm
backstop_image=backstop:latest
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

# Copies programs and the libraries they load to a root directory.
install_programs() {
    local root=$1 program file
    shift
    for program in "$@"; do
        program=$(command -v "$program")
        for file in "$program" $(ldd "$program" | grep -o '/[^ ]*' || true); do
            mkdir -p "$root$(dirname "$file")"
            cp -L "$file" "$root$file"
        done
    done
}

# As the published image: every template in /etc/nginx/templates becomes a file in
# /etc/nginx/conf.d with the environment's values filled in, and SIGQUIT ends it.
make_nginx() {
    local root=$scratch/nginx
    mkdir -p "$root"/{etc/nginx/conf.d,var/log/nginx,var/lib/nginx,run,tmp,bin}
    install_programs "$root" nginx envsubst curl dash env cut
    ln -sf "$(command -v dash)" "$root/bin/sh"
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
    docker build --quiet --tag "$nginx_image" --file - "$root" <<DOCKERFILE
FROM scratch
COPY . /
ENV PATH=$program_path
LABEL $label=true
STOPSIGNAL SIGQUIT
ENTRYPOINT ["/docker-entrypoint.sh"]
CMD ["nginx", "-g", "daemon off;"]
DOCKERFILE
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
    mkdir -p "$root"/{bin,usr/local/bin,tmp,etc/ssl/certs}
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    copy_context "$context"
    RUSTFLAGS="-C target-feature=+crt-static" CARGO_PROFILE_RELEASE_STRIP=symbols \
        cargo install --locked --path "$context" --root "$scratch/built" --target host-tuple \
        --target-dir target/image --no-track
    cp "$scratch/built/bin/backstop" "$root/backstop"
    install_programs "$root" dash mkdir cp
    ln -sf "$(command -v dash)" "$root/bin/sh"
    cat >"$root/usr/local/bin/cargo" <<'CARGO'
#!/bin/sh
set -e
[ "$1" = install ]
while [ "$1" != --root ]; do shift; done
mkdir -p "$2/bin"
cp /backstop "$2/bin/backstop"
CARGO
    chmod +x "$root/usr/local/bin/cargo"
    docker build --quiet --tag "$rust_image" --file - "$root" <<DOCKERFILE
FROM scratch
COPY . /
ENV PATH=$program_path
LABEL $label=true
DOCKERFILE
}

was_pulled "$nginx_image" || make_nginx
was_pulled "$rust_image" || make_rust
docker build --quiet --tag "$backstop_image" --file docker/Dockerfile \
    --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" .
# Layers of earlier images, which nothing uses any more.
docker image prune --force --filter "label=$label" >/dev/null
docker image prune --force --filter label=org.opencontainers.image.title=Backstop >/dev/null
docker image inspect --format '{{index .RepoTags 0}}: {{.Size}} bytes' \
    "$nginx_image" "$backstop_image"
