part() {
  cut -d. -f"$1" order.jws | tr -d '\n' | tr -- -_ +/ | sed 's/$/===/' | fold -w 4 | grep -v '^=*$' | base64 -d
}
hex() { od -An -v -tx1 | tr -d ' \n'; }
part 1 > header.json && part 2 > order.json && part 3 > signature
cut -d. -f1,2 order.jws | tr -d '\n' > signed
tr '"' '\n' < header.json | grep '^MI' | while read -r one; do
  echo '-----BEGIN CERTIFICATE-----'; echo "$one" | fold -w 64; echo '-----END CERTIFICATE-----'
done > chain.pem
issued=$(date -d "$(sed 's/.*"issued_at":"\([^"]*\)".*/\1/' order.json)" +%s)
openssl verify -attime "$issued" -CAfile root.pem -untrusted chain.pem chain.pem || exit 1
openssl x509 -in chain.pem -pubkey -noout > key.pem
bits=$(sed 's/.*"alg":"[EP]S\([0-9]*\)".*/\1/' header.json)
if grep -q '"alg":"PS' header.json; then
  set -- -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest -signature signature
else
  half=$(($(wc -c < signature) / 2))
  printf 'asn1=SEQUENCE:two\n[two]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' \
    "$(head -c "$half" signature | hex)" "$(tail -c "$half" signature | hex)" > der.conf
  openssl asn1parse -genconf der.conf -noout -out signature.der
  set -- -signature signature.der
fi
openssl dgst -sha"$bits" -verify key.pem "$@" signed || exit 1
sha256sum order.json
