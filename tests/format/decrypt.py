"""Decrypts objects of the client-side format, version 1. Written from docs/FORMAT.md alone.

Each line of standard input is a JSON object: `record`, the volume record; `root`, which is
{"master": key}, {"passphrase": text} or {"kms": {blob: key}} (what KMS would answer); `key`, the
stored key; `metadata`, the object's user metadata; `body`, a file with its bytes. Bytes are in
hexadecimal digits. Each line of standard output is what was found, or {"refused": why}.
"""
import base64, hashlib, hmac, json, re, struct, sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

SEGMENT, CHUNK, LABEL = 8_388_608, 16_384, b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"


class Refused(Exception):
    pass


def check(right, why="not authentic"):
    if not right:
        raise Refused(why)


def context(purpose, *fields):  # section 3
    number = lambda n: b"\1" + struct.pack(">Q", n)
    string = lambda s: b"\2" + struct.pack(">I", len(s)) + s
    return bytes([1, purpose]) + b"".join(number(f) if isinstance(f, int) else string(f) for f in fields)


def stored(n):
    return 56 + n + 16 * (n // CHUNK + 1)


def unseal(key, ctx, message, pin=None):  # section 2; a pin is (salt, length)
    salt, commitment, body = message[:24], message[24:56], message[56:]
    check(len(message) >= 72 and (pin is None or (pin[0] == salt and stored(pin[1]) == len(message))))
    okm = HKDFExpand(SHA512(), 76, LABEL + salt + ctx).derive(key)
    check(hmac.compare_digest(okm[44:], commitment))
    base, gcm, plain = int.from_bytes(okm[32:44], "big"), AESGCM(okm[:32]), []
    for k in range(len(body) // (CHUNK + 16) + 1):  # the last one is short
        chunk = body[k * (CHUNK + 16) : (k + 1) * (CHUNK + 16)]
        check(len(chunk) >= 16)
        plain.append(gcm.decrypt((base ^ k).to_bytes(12, "big"), chunk, None))
    return b"".join(plain)


def unbase64(text):  # strictly
    check(re.fullmatch("[A-Za-z0-9_-]*", text))
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    check(base64.urlsafe_b64encode(data).rstrip(b"=").decode() == text)
    return data


def unwrap(wrapped, root, volume):  # section 4
    if "kms" in root:
        check(wrapped[0] == 1 and wrapped[1:].hex() in root["kms"], "KMS does not know the key")
        return bytes.fromhex(root["kms"][wrapped[1:].hex()])
    check(wrapped[0] == 2)
    return unseal(bytes.fromhex(root["master"]), context(2, volume), wrapped[1:])


def open_volume(record, root):  # section 8
    check(record[:8] == b"cloakfs\0", "not a volume record")
    check(record[8] == 1, f"version {record[8]}")
    volume, at, fields = record[9:25], 25, []
    for _ in range(3):
        length = int.from_bytes(record[at : at + 2], "big")
        fields.append(record[at + 2 : at + 2 + length])
        at += 2 + length
    if "passphrase" in root:
        memory, passes, lanes = struct.unpack(">III", fields[2][16:28])
        check(memory <= 1 << 20 and 1 <= passes <= 16 and 1 <= lanes <= 16 and memory >= 8 * lanes)
        argon = Argon2id(salt=fields[2][:16], length=32, iterations=passes, lanes=lanes, memory_cost=memory)
        key = argon.derive(root["passphrase"].encode())
        root = {"master": unseal(key, context(1, volume), fields[2][28:]).hex()}
    settings = unseal(unwrap(fields[1], root, volume), context(3, record[:at]), record[at:])
    features, _sequence, names = struct.unpack(">IQB", settings[:13])
    check(features == 0 and len(settings) == 77, "malformed")
    return volume, root, settings[13:] if names else None


def path_of(stored_key, names_key):  # section 9
    parts = stored_key.rstrip("/").split("/") if stored_key.rstrip("/") else []
    if names_key is None:
        return "/".join(parts)
    opened = [
        AESSIV(names_key).decrypt(unbase64(part), [context(9, "/".join(parts[:i]).encode())]).decode()
        for i, part in enumerate(parts)
    ]
    return "/".join(opened)


def attributes(data):  # section 5
    sequence, mode, uid, gid, device = struct.unpack(">QIIII", data[:24])
    times = struct.unpack(">qIqIqI", data[24:60])
    return {"sequence": sequence, "mode": mode, "uid": uid, "gid": gid, "rdev": device, "times": times}, data[60]


def xattrs(data):
    found = {}
    while data:
        end = 1 + data[0]
        length = int.from_bytes(data[end : end + 4], "big")
        found[data[1:end].decode()] = data[end + 4 : end + 4 + length].hex()
        data = data[end + 4 + length :]
    return found


def pin_at(data, at):
    return data[at : at + 24], int.from_bytes(data[at + 24 : at + 28], "big")


def open_object(case):  # section 10
    volume, root, names_key = open_volume(bytes.fromhex(case["record"]), case["root"])
    metadata, key, body = case["metadata"], case["key"], open(case["body"], "rb").read()
    check(metadata["cloakfs-format"] == "1", f"version {metadata['cloakfs-format']}")
    data_key = unwrap(unbase64(metadata["cloakfs-key"]), root, volume)
    record = unseal(data_key, context(4, volume, key.encode()), unbase64(metadata["cloakfs-record"]))
    content, content_key, body_id = record[20:36], record[36:68], record[68:84]
    footer = unseal(content_key, context(8, content, body_id), body[-205:])
    check(record[:4] == footer[:4] == bytes(4), "unknown feature")
    length, count = struct.unpack(">QI", footer[4:16])
    first, in_body, end = pin_at(footer, 16), pin_at(footer, 44), len(body) - 205
    pins = [first][:count]
    if count >= 2:
        start = end - stored(first[1])
        check(start >= 0)
        manifest = unseal(content_key, context(6, content, body_id), body[start:end], first)
        pins, end = [pin_at(manifest, 28 * i) for i in range(count)], start
    extended = {}
    if in_body[1]:
        start = end - stored(in_body[1])
        check(start >= 0)
        extended = xattrs(unseal(content_key, context(7, content, body_id), body[start:end], in_body))
        end = start
    digest, at = hashlib.sha256(), 0
    for i, (salt, size) in enumerate(pins):
        if size:
            message = body[at : at + stored(size)]
            digest.update(unseal(content_key, context(5, content, i), message, (salt, size)))
            at += stored(size)
        digest.update(bytes(min(SEGMENT, length - i * SEGMENT) - size))
    check(at == end)
    digest.update(bytes(max(0, length - len(pins) * SEGMENT)))
    (of_record, place), (of_footer, footer_place) = attributes(record[92:153]), attributes(footer[72:])
    inline = xattrs(record[153:])
    if of_footer["sequence"] > of_record["sequence"]:
        of_record, place = of_footer, footer_place
    found = {"path": path_of(key, names_key), "length": length, "sha256": digest.hexdigest()}
    return found | {"attributes": of_record, "xattrs": [{}, inline, extended][place]}


for line in sys.stdin:
    try:
        print(json.dumps(open_object(json.loads(line))))
    except (Refused, InvalidTag) as error:
        print(json.dumps({"refused": str(error) or "not authentic"}))
