//! What the arguments of `reencrypt` mean: two mounts, of what the source is and of what it is to
//! be.

use anyhow::{anyhow, bail};

use crate::cli::arguments::{
    EncryptionArgument, KeyArguments, MountArguments, MoveArguments, NamesArgument,
    NewKeyArguments, ReencryptArguments, RotateArguments, SourceArguments,
};
use crate::cli::client_side::ClientSide;
use crate::cli::config::{ConfigError, MountConfig, StoreConfig};
use crate::cli::encryption::ServerSide;

pub(in crate::cli) struct ReencryptConfig {
    pub source: MountConfig,
    pub target: MountConfig,
    pub names: Option<NamesArgument>,
    pub content: bool,
    pub dry_run: bool,
    pub json: bool,
}

/// What everything is to be, as it was typed.
struct Wanted<'a> {
    mode: Option<EncryptionArgument>,
    keys: &'a NewKeyArguments,
    bucket_key: bool,
    dsse: bool,
    names: Option<NamesArgument>,
}

impl ReencryptConfig {
    pub(in crate::cli) fn from_arguments(arguments: &ReencryptArguments) -> anyhow::Result<Self> {
        let wanted = Wanted {
            mode: arguments.to,
            keys: &arguments.keys,
            bucket_key: arguments.to_bucket_key,
            dsse: arguments.to_dsse,
            names: arguments.to_names,
        };
        Self::of(&arguments.source, &wanted, arguments.how)
    }

    /// `keys rotate`: from a client-side mode to the same.
    pub(in crate::cli) fn of_rotation(arguments: &RotateArguments) -> anyhow::Result<Self> {
        let (mode, keys) = (arguments.source.encryption, &arguments.keys);
        let is_other = match mode {
            Some(EncryptionArgument::CseC) => keys.to_key_file.is_some(),
            Some(EncryptionArgument::CseKms) => {
                keys.to_kms_key.is_some() || !keys.to_kms_context.is_empty()
            }
            _ => bail!(
                "keys rotate is for a client-side volume: give --encryption cse-kms or cse-c and its key, as it is mounted; objects that S3 encrypts get another key with: cloakfs reencrypt"
            ),
        };
        if !is_other {
            bail!(
                "which key is the volume's new one? Give --to-key-file (cse-c; cloakfs keys generate makes one) or --to-kms-key (cse-kms)"
            );
        }
        let mut keys = keys.clone();
        if mode == Some(EncryptionArgument::CseKms) && keys.to_kms_key.is_none() {
            // The same key in another context.
            keys.to_kms_key.clone_from(&arguments.source.keys.kms_key);
        }
        let wanted = Wanted {
            mode: None,
            keys: &keys,
            bucket_key: false,
            dsse: false,
            names: None,
        };
        Self::of(&arguments.source, &wanted, arguments.how)
    }

    fn of(
        named: &SourceArguments,
        wanted: &Wanted<'_>,
        how: MoveArguments,
    ) -> anyhow::Result<Self> {
        let mount = named.as_mount();
        let mount = mount.ok_or_else(|| anyhow!("{} is no source", named.source.display()))?;
        let source = MountConfig::from_arguments(&mount)?;
        let mut target = MountConfig::from_arguments(&target_of(wanted, mount)?)
            .map_err(|error| in_words_of_target(&error))?;
        let is_sealed = |config: &MountConfig| matches!(config.client_side, ClientSide::Yes(_));
        if how.content && is_sealed(&source) != is_sealed(&target) {
            bail!(
                "--content is for a client-side volume that stays one (cse-... to cse-...), and for modes of the server: between the two all content is encrypted anew by itself; leave --content out"
            );
        }
        if wanted.names.is_some() && !is_sealed(&target) {
            bail!("--to-names is for --to cse-kms and --to cse-c; leave --to-names out");
        }
        // What is under an old key of a customer is read and copied with it.
        if let (StoreConfig::S3(old), StoreConfig::S3(new)) = (&source.store, &mut target.store) {
            let mut keys = old.encryption.read_key_files.clone();
            if let ServerSide::SseC { key_file } = &old.encryption.mode {
                keys.insert(0, key_file.clone());
            }
            new.encryption.read_key_files = keys;
        }
        Ok(Self {
            source,
            target,
            names: wanted.names,
            content: how.content,
            dry_run: how.dry_run,
            json: how.json,
        })
    }
}

/// The arguments of a mount of what the source is to be.
fn target_of(wanted: &Wanted<'_>, mut mount: MountArguments) -> anyhow::Result<MountArguments> {
    let mode = wanted.mode.or(mount.encryption).ok_or_else(|| {
        anyhow!("what is everything to be? Give --to MODE, or the mode that it has with --encryption and a new key")
    })?;
    let asks_kms = matches!(
        mode,
        EncryptionArgument::SseKms | EncryptionArgument::CseKms
    );
    let own_kms = mount.keys.kms_endpoint_url.take().filter(|_| asks_kms);
    let keys = wanted.keys;
    mount.encryption = Some(mode);
    mount.keys = KeyArguments {
        kms_key: keys.to_kms_key.clone(),
        kms_context: keys.to_kms_context.clone(),
        kms_endpoint_url: keys.to_kms_endpoint_url.clone().or(own_kms),
        key_file: keys.to_key_file.clone(),
        passphrase_fd: None,
    };
    mount.bucket_key = wanted.bucket_key;
    mount.dsse = wanted.dsse;
    mount.read_key_file = Vec::new();
    if mode == EncryptionArgument::CseC && keys.to_key_file.is_none() {
        bail!(
            "--to cse-c needs the new key: give --to-key-file FILE; a new one is made with: cloakfs keys generate FILE"
        );
    }
    Ok(mount)
}

/// A mount's options have other names here.
fn in_words_of_target(error: &ConfigError) -> anyhow::Error {
    let mut text = error.to_string();
    for option in [
        "kms-key",
        "kms-context",
        "kms-endpoint-url",
        "key-file",
        "bucket-key",
        "dsse",
        "names",
    ] {
        text = text.replace(&format!("--{option}"), &format!("--to-{option}"));
    }
    anyhow!(text.replace("--encryption", "--to"))
}

impl ReencryptConfig {
    pub fn target_is_kms(&self) -> bool {
        match &self.target.store {
            StoreConfig::S3(settings) => {
                matches!(settings.encryption.mode, ServerSide::SseKms(_))
            }
            StoreConfig::Dir(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::arguments::{Arguments, Command, KeysCommand};

    fn config(options: &str) -> Result<ReencryptConfig, String> {
        let typed: Vec<_> = format!("cloakfs reencrypt {options}")
            .split(' ')
            .map(Into::into)
            .collect();
        match Arguments::read(&typed).unwrap().command {
            Command::Reencrypt(arguments) => {
                ReencryptConfig::from_arguments(&arguments).map_err(|error| format!("{error:#}"))
            }
            other => panic!("{other:?}"),
        }
    }

    fn refusal(options: &str) -> String {
        config(options).err().unwrap_or_else(|| panic!("{options}"))
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_the_words_of_the_target() {
        assert_eq!(
            refusal("s3://bkt --to sse-c"),
            "--to sse-c needs your key: give --to-key-file FILE; a new one is made with: cloakfs keys generate FILE"
        );
        assert_eq!(
            refusal("s3://bkt --to sse-s3 --to-kms-key k"),
            "--to-kms-key is for --to sse-kms and cse-kms, and the mode is sse-s3; give one of them, or leave --to-kms-key out"
        );
        assert!(refusal("s3://bkt").starts_with("what is everything to be?"));
        assert!(refusal("s3://bkt --to cse-c").starts_with("--to cse-c needs the new key"));
        let content = refusal("s3://bkt --to cse-c --to-key-file /k --content");
        assert!(content.starts_with("--content is for a client-side volume that stays one"));
        assert!(refusal("s3://bkt --to none --to-names plain").starts_with("--to-names is for"));
    }

    #[test]
    fn a_rotation_is_of_a_client_side_volume_to_another_key() {
        let rotate = |options: &str| {
            let typed = format!("cloakfs keys rotate {options}");
            let typed: Vec<_> = typed.split(' ').map(Into::into).collect();
            match Arguments::read(&typed).unwrap().command {
                Command::Keys(keys) => match keys.command {
                    KeysCommand::Rotate(arguments) => {
                        ReencryptConfig::of_rotation(&arguments).map_err(|error| error.to_string())
                    }
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        };
        let refusal = |options| rotate(options).err().unwrap();
        let words = "keys rotate is for a client-side volume";
        assert!(refusal("s3://bkt --to-kms-key k").starts_with(words));
        assert!(refusal("s3://bkt --encryption sse-kms --to-kms-key k").starts_with(words));
        let words = "which key is the volume's new one?";
        assert!(refusal("s3://bkt --encryption cse-c --key-file /k").starts_with(words));
        assert!(refusal("s3://bkt --encryption cse-kms --kms-key k").starts_with(words));
        let options = "s3://bkt --encryption cse-c --key-file /k";
        assert!(rotate(&format!("{options} --to-key-file /l")).is_ok());
        assert_eq!(
            refusal(&format!("{options} --to-kms-key k --to-key-file /l")),
            "--to-kms-key is for --to sse-kms and cse-kms, and the mode is cse-c; give one of them, or leave --to-kms-key out"
        );
        let options = "s3://bkt --encryption cse-kms --kms-key k --kms-context a=b";
        assert!(rotate(&format!("{options} --to-kms-context a=c")).is_ok());
    }

    #[test]
    fn the_new_store_has_the_keys_of_the_old_one() {
        let options = "s3://bkt --encryption sse-c --key-file /old --read-key-file /older --to sse-c --to-key-file /new";
        let config = config(options).unwrap_or_else(|error| panic!("{error}"));
        let StoreConfig::S3(new) = &config.target.store else {
            panic!("{:?}", config.target.store)
        };
        let keys: Vec<_> = new.encryption.read_key_files.iter().collect();
        assert_eq!(keys, ["/old", "/older"]);
    }
}
