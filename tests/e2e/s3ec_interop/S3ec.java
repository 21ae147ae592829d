// Reads and writes with the Amazon S3 Encryption Client for Java, as a test asks on standard
// input.
//
// usage: S3ec ENDPOINT KMS_ENDPOINT BUCKET aes:FILE|rsa:PRIVATE_DER:PUBLIC_DER|kms:KEY [NAME=VALUE]...
//
// One line for each wish, its fields separated by tabs, and one line of answer:
//   put KEY FILE v2|v3 [instruction]   ok
//   get KEY FILE                       ok, or refused and why

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.HashMap;
import java.util.Map;
import javax.crypto.spec.SecretKeySpec;
import software.amazon.awssdk.core.checksums.RequestChecksumCalculation;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.kms.KmsClient;
import software.amazon.awssdk.services.s3.S3AsyncClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.encryption.s3.CommitmentPolicy;
import software.amazon.encryption.s3.S3EncryptionClient;
import software.amazon.encryption.s3.algorithms.AlgorithmSuite;
import software.amazon.encryption.s3.internal.InstructionFileConfig;
import software.amazon.encryption.s3.materials.AesKeyring;
import software.amazon.encryption.s3.materials.Keyring;
import software.amazon.encryption.s3.materials.KmsKeyring;
import software.amazon.encryption.s3.materials.PartialRsaKeyPair;
import software.amazon.encryption.s3.materials.RsaKeyring;

class S3ec {
    static final Region REGION = Region.US_EAST_1;

    public static void main(String[] args) throws Exception {
        URI endpoint = URI.create(args[0]);
        String bucket = args[2];
        Map<String, String> context = new HashMap<>();
        for (int at = 4; at < args.length; at++) {
            String[] pair = args[at].split("=", 2);
            context.put(pair[0], pair[1]);
        }
        S3Client plain = S3Client.builder().endpointOverride(endpoint).region(REGION)
            .forcePathStyle(true).requestChecksumCalculation(RequestChecksumCalculation.WHEN_REQUIRED)
            .build();
        S3AsyncClient plainAsync = S3AsyncClient.builder().endpointOverride(endpoint).region(REGION)
            .forcePathStyle(true).requestChecksumCalculation(RequestChecksumCalculation.WHEN_REQUIRED)
            .build();
        Keyring keyring = keyring(args[3], URI.create(args[1]));
        Map<String, S3EncryptionClient> clients = new HashMap<>();
        for (String version : new String[] {"v2", "v3"}) {
            for (boolean instruction : new boolean[] {false, true}) {
                boolean old = version.equals("v2");
                InstructionFileConfig files = InstructionFileConfig.builder()
                    .instructionFileClient(plain)
                    .enableInstructionFilePutObject(instruction).build();
                clients.put(version + instruction, S3EncryptionClient.builderV4()
                    .wrappedClient(plain).wrappedAsyncClient(plainAsync).keyring(keyring)
                    .instructionFileConfig(files)
                    .encryptionAlgorithm(old
                        ? AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF
                        : AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY)
                    .commitmentPolicy(old
                        ? CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT
                        : CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT)
                    .build());
            }
        }
        BufferedReader wishes = new BufferedReader(new InputStreamReader(System.in));
        for (String line = wishes.readLine(); line != null; line = wishes.readLine()) {
            String[] wish = line.split("\t");
            String key = wish[1];
            Path file = Path.of(wish[2]);
            try {
                if (wish[0].equals("put")) {
                    boolean instruction = wish.length > 4;
                    clients.get(wish[3] + instruction).putObject(request -> {
                        request.bucket(bucket).key(key);
                        if (!context.isEmpty()) {
                            request.overrideConfiguration(
                                S3EncryptionClient.withAdditionalConfiguration(context));
                        }
                    }, RequestBody.fromBytes(Files.readAllBytes(file)));
                } else {
                    byte[] read = clients.get("v3false").getObjectAsBytes(request -> {
                        request.bucket(bucket).key(key);
                        if (!context.isEmpty()) {
                            request.overrideConfiguration(
                                S3EncryptionClient.withAdditionalConfiguration(context));
                        }
                    }).asByteArray();
                    Files.write(file, read);
                }
                System.out.println("ok");
            } catch (Exception error) {
                StringBuilder why = new StringBuilder();
                for (Throwable cause = error; cause != null; cause = cause.getCause()) {
                    why.append(' ').append(cause);
                }
                System.out.println("refused" + why.toString().replace('\n', ' '));
            }
        }
        System.exit(0);
    }

    static Keyring keyring(String of, URI kmsEndpoint) throws Exception {
        String[] parts = of.split(":", 2);
        switch (parts[0]) {
            case "aes":
                byte[] key = Files.readAllBytes(Path.of(parts[1]));
                return AesKeyring.builder().wrappingKey(new SecretKeySpec(key, "AES")).build();
            case "rsa":
                String[] files = parts[1].split(":");
                KeyFactory keys = KeyFactory.getInstance("RSA");
                KeyPair pair = new KeyPair(
                    keys.generatePublic(new X509EncodedKeySpec(Files.readAllBytes(Path.of(files[1])))),
                    keys.generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(Path.of(files[0])))));
                return RsaKeyring.builder().wrappingKeyPair(
                    PartialRsaKeyPair.builder().privateKey(pair.getPrivate())
                        .publicKey(pair.getPublic()).build()).build();
            default:
                KmsClient kms = KmsClient.builder().endpointOverride(kmsEndpoint).region(REGION).build();
                return KmsKeyring.builder().kmsClient(kms).wrappingKeyId(parts[1]).build();
        }
    }
}
