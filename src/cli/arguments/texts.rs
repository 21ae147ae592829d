//! What help says after the options.

pub(super) const EXAMPLES: &str = "\
Examples:
  cloakfs mount dir:/srv/store /mnt/data             a local directory as the store
  cloakfs mount s3://bucket/photos /mnt/photos --encryption sse-s3
  cloakfs mount s3://bucket /mnt/b --encryption sse-kms --kms-key alias/mine --kms-context tenant=a
  cloakfs mount s3://bucket /mnt/b --encryption sse-c --key-file /etc/cloakfs/key
  cloakfs mount s3://bucket /mnt/b --endpoint-url https://minio.example:9000 --ca-bundle ca.pem
  cloakfs init s3://bucket/private --encryption cse-c --generate-key ~/private.key
  cloakfs mount s3://bucket/private /mnt/p --encryption cse-c --key-file ~/private.key
  cloakfs decrypt s3://bucket/private/letters/1.txt --key-file ~/private.key
  cloakfs keys import --key-file ~/own.key --alias alias/mine
  cloakfs export s3://bucket/private s3://other/shared --encryption cse-c --key-file ~/private.key \\
      --format s3ec --to-kms-key alias/shared
  cloakfs audit s3://bucket/photos --encryption sse-s3
  cloakfs check s3://bucket/photos --encryption sse-s3 --repair
  cloakfs doctor s3://bucket/photos --encryption sse-s3
  cloakfs policy bucket s3://bucket --encryption sse-kms --kms-key ARN --apply --verify
  cloakfs policy iam s3://bucket/photos --encryption sse-s3 > policy.json
  cloakfs status /mnt/photos
  cloakfs sync /mnt/photos && cloakfs umount /mnt/photos

Credentials come from the standard AWS chain: environment, profiles, SSO, web identity, instance
metadata. CLOAKFS_LOG sets what is logged (such as info, or warn,cloakfs=debug), CLOAKFS_STATE_DIR
where locks, sockets and staged data are kept.

Exit codes: 0 done; 1 it failed, for the reason on standard error; 2 the command line is wrong.";

pub(super) const MOUNT_NOTES: &str = "\
SIZE is a number of bytes, or one with K, M, G or T (powers of 1,024). DURATION is in seconds, or
has s, m or h.

-o takes the flags of mount(8) that mean something here (ro, rw, exec, noexec, sync, async, nosuid,
nodev, and for root suid and dev), nonempty, and every long option above as name or name=value, so
that a line of /etc/fstab can say everything. There the mode is encryption_mode=MODE, since
mount(8) keeps encryption= for itself. Options given by themselves win over those in -o.
What is for others (defaults, nofail, user, _netdev, x-...) passes without effect; so do atime,
noatime, relatime, norelatime, diratime, nodiratime and dirsync, which do nothing for a FUSE
filesystem: reading never sets an access time here. A comma within a value is written as \\,.";
