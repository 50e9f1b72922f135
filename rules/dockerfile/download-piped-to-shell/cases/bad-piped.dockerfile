FROM debian:12
# want "Download run unseen"
RUN curl -fsSL https://example.com/i.sh | sh
# want "bash -s -- --yes"
RUN wget -qO- https://example.com/i.sh | tee /tmp/i | sudo -E bash -s -- --yes
# want "curl -fsSL https://example.com/i.sh"
RUN sh -c "$(curl -fsSL https://example.com/i.sh)"
# want "wget -qO- https://example.com/i.sh"
RUN bash <(wget -qO- https://example.com/i.sh)
# want "python3 -"
RUN <<EOF
set -e
curl -sSL https://example.com/get-poetry.py | python3 -
EOF
