"""Reads and writes with the Amazon S3 Encryption Client for Python, as a test asks on standard input.

usage: s3ec.py ENDPOINT KMS_ENDPOINT CA BUCKET KMS_KEY CONTEXT(JSON)

One line for each wish, its fields separated by tabs, and one line of answer:
  put KEY FILE v2|v3   ok
  get KEY FILE         ok, or refused and why
"""

import json
import sys

import boto3
from botocore.config import Config
from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig
from s3_encryption.materials.kms_keyring import KmsKeyring
from s3_encryption.materials.materials import AlgorithmSuite, CommitmentPolicy

SUITES = {
    "v2": AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF,
    "v3": AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY,
}
POLICIES = {
    "v2": CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT,
    "v3": CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT,
}


def main():
    endpoint, kms_endpoint, ca, bucket, key_id, context = sys.argv[1:]
    context = json.loads(context)
    common = {"region_name": "us-east-1", "verify": ca}
    kms = boto3.client("kms", endpoint_url=kms_endpoint, **common)
    clients = {}
    for version, suite in SUITES.items():
        s3 = boto3.client(
            "s3",
            endpoint_url=endpoint,
            config=Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required"),
            **common,
        )
        config = S3EncryptionClientConfig(
            keyring=KmsKeyring(kms_client=kms, kms_key_id=key_id),
            encryption_algorithm=suite,
            commitment_policy=POLICIES[version],
        )
        clients[version] = S3EncryptionClient(wrapped_s3_client=s3, config=config)
    for line in sys.stdin:
        wish, key, file, *rest = line.rstrip("\n").split("\t")
        named = {"Bucket": bucket, "Key": key}
        if context:
            named["EncryptionContext"] = context
        if wish == "put":
            with open(file, "rb") as body:
                clients[rest[0]].put_object(Body=body.read(), **named)
            print("ok", flush=True)
            continue
        try:
            body = clients["v3"].get_object(**named)["Body"].read()
        except Exception as error:  # whatever it is, the test is told
            print("refused", repr(error).replace("\n", " "), flush=True)
            continue
        with open(file, "wb") as out:
            out.write(body)
        print("ok", flush=True)


main()
