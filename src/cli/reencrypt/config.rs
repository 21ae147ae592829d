//! What the arguments of `reencrypt` mean: two mounts, of what the source is and of what it is to
//! be.

use anyhow::{anyhow, bail};

use crate::cli::arguments::{
    EncryptionArgument, KeyArguments, MountArguments, NamesArgument, ReencryptArguments,
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

impl ReencryptConfig {
    pub(in crate::cli) fn from_arguments(arguments: &ReencryptArguments) -> anyhow::Result<Self> {
        let named = &arguments.source;
        let mount = named.as_mount();
        let mount = mount.ok_or_else(|| anyhow!("{} is no source", named.source.display()))?;
        let source = MountConfig::from_arguments(&mount)?;
        let mut target = MountConfig::from_arguments(&target_of(arguments, mount)?)
            .map_err(|error| in_words_of_target(&error))?;
        let is_sealed = |config: &MountConfig| matches!(config.client_side, ClientSide::Yes(_));
        if arguments.content && !(is_sealed(&source) && is_sealed(&target)) {
            bail!(
                "--content is for a client-side volume that stays one (cse-... to cse-...): any other change of layout encrypts all content anew by itself; leave --content out"
            );
        }
        if arguments.to_names.is_some() && !is_sealed(&target) {
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
            names: arguments.to_names,
            content: arguments.content,
            dry_run: arguments.dry_run,
            json: arguments.json,
        })
    }
}

/// The arguments of a mount of what the source is to be.
fn target_of(
    arguments: &ReencryptArguments,
    mut mount: MountArguments,
) -> anyhow::Result<MountArguments> {
    let mode = arguments.to.or(mount.encryption).ok_or_else(|| {
        anyhow!("what is everything to be? Give --to MODE, or the mode that it has with --encryption and a new key")
    })?;
    let asks_kms = matches!(
        mode,
        EncryptionArgument::SseKms | EncryptionArgument::CseKms
    );
    let own_kms = mount.keys.kms_endpoint_url.take().filter(|_| asks_kms);
    mount.encryption = Some(mode);
    mount.keys = KeyArguments {
        kms_key: arguments.to_kms_key.clone(),
        kms_context: arguments.to_kms_context.clone(),
        kms_endpoint_url: arguments.to_kms_endpoint_url.clone().or(own_kms),
        key_file: arguments.to_key_file.clone(),
        passphrase_fd: None,
    };
    mount.bucket_key = arguments.to_bucket_key;
    mount.dsse = arguments.to_dsse;
    mount.read_key_file = Vec::new();
    if mode == EncryptionArgument::CseC && arguments.to_key_file.is_none() {
        bail!(
            "--to cse-c needs the new key: give --to-key-file FILE; a new one is made with: (umask 077; head -c32 /dev/urandom > FILE)"
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
    use crate::cli::arguments::{Arguments, Command};

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
            refusal("s3://b --to sse-c"),
            "--to sse-c needs your key: give --to-key-file FILE; a new one is made with: (umask 077; head -c32 /dev/urandom > FILE)"
        );
        assert_eq!(
            refusal("s3://b --to sse-s3 --to-kms-key k"),
            "--to-kms-key is for --to sse-kms and cse-kms, and the mode is sse-s3; give one of them, or leave --to-kms-key out"
        );
        assert!(refusal("s3://b").starts_with("what is everything to be?"));
        assert!(refusal("s3://b --to cse-c").starts_with("--to cse-c needs the new key"));
        assert!(refusal("s3://b --to sse-s3 --content").starts_with("--content is for"));
        assert!(refusal("s3://b --to none --to-names plain").starts_with("--to-names is for"));
    }

    #[test]
    fn the_new_store_has_the_keys_of_the_old_one() {
        let options = "s3://b --encryption sse-c --key-file /old --read-key-file /older --to sse-c --to-key-file /new";
        let config = config(options).unwrap_or_else(|error| panic!("{error}"));
        let StoreConfig::S3(new) = &config.target.store else {
            panic!("{:?}", config.target.store)
        };
        let keys: Vec<_> = new.encryption.read_key_files.iter().collect();
        assert_eq!(keys, ["/old", "/older"]);
    }
}
