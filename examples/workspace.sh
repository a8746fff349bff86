#!/usr/bin/env bash
# A chat's workspace from the shell, made from docs/protocol.md alone: bash and the text protocol of NATS, nothing else.
#
#   workspace.sh get '{"chat_id": "…"}'    any verb of `ws.api`: prints the answer; exit code 1 for an error
#   workspace.sh watch CHAT                prints the chat's snapshot, then whatever is pushed and newer
#
# It is who NATS_URL, WORKSPACED_USER and WORKSPACED_PASSWORD say: a chat daemon. Without TLS, so for a server near by.
set -euo pipefail
export LC_ALL=C # lengths are bytes
inbox="_INBOX_$WORKSPACED_USER.$$.$RANDOM$RANDOM" address=${NATS_URL#nats://} last=0
exec 3<>"/dev/tcp/${address%:*}/${address##*:}"

say() { printf '%s\r\n' "$@" >&3; }
ask() { say "SUB $inbox 1" "PUB ws.api.$1 $inbox ${#2}" "$2"; }
quoted() { local text=${1//\\/\\\\} && printf '"%s"' "${text//\"/\\\"}"; }
hear() { # the next message, its headers and body; or that the server has taken all so far
  while IFS=$' \r' read -r -u 3 -a words; do
    case ${words[0]-} in
      PING) say PONG ;;
      PONG) return ;;
      -ERR) echo "NATS: ${words[*]:1}" >&2 && return 1 ;;
      MSG) headers="" && read -r -u 3 -N "${words[-1]}" body && return ;;
      HMSG) read -r -u 3 -N "${words[-2]}" headers && read -r -u 3 -N $((words[-1] - words[-2])) body && return ;;
    esac
  done
  return 1
}

login="\"user\":$(quoted "$WORKSPACED_USER"),\"pass\":$(quoted "$WORKSPACED_PASSWORD")"
say "CONNECT {$login,\"verbose\":false,\"headers\":true,\"no_responders\":true}" PING && hear
if [[ $1 == watch ]]; then
  say "SUB ws.chat.$2.> 2" && ask get "{\"chat_id\":\"$2\"}"
  while hear; do
    [[ $body =~ \"version\":\ *([0-9]+) ]] && ((BASH_REMATCH[1] > last)) && last=${BASH_REMATCH[1]} && echo "$body"
  done
else
  ask "$1" "$2" && hear
  echo "$body"
  [[ $headers != *Nats-Service-Error-Code* && $headers != "NATS/1.0 503"* ]]
fi
