//! A KMS that does with material of one's own what AWS's does and no local server: it takes no
//! other material for a key than its first, lets material expire by a clock of the test's, and
//! lets tokens expire. The wrapping is real.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey,
    PrivateDecryptingKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cloakfs::base::secret::Secret;
use serde_json::{Value, json};

use crate::fake::FakeKms;
use crate::world::{answer, body, error, operation};

const PLACE: &str = "arn:aws:kms:us-east-1:111122223333";
/// Keys on one page of a list.
const PAGE: usize = 3;

/// One key.
#[derive(Clone, Debug)]
pub struct Key {
    pub description: String,
    pub origin: &'static str,
    pub spec: &'static str,
    /// Besides what follows from the material.
    pub state: &'static str,
    /// What it took first, and takes alone.
    pub first: Option<Vec<u8>>,
    pub material: Option<Vec<u8>>,
    /// Seconds since 1970.
    pub valid_to: Option<i64>,
}

impl Default for Key {
    /// As `CreateKey` makes it for imported material.
    fn default() -> Self {
        Self {
            description: String::new(),
            origin: "EXTERNAL",
            spec: "SYMMETRIC_DEFAULT",
            state: "Enabled",
            first: None,
            material: None,
            valid_to: None,
        }
    }
}

#[derive(Debug)]
struct Token {
    key: String,
    is_sha1: bool,
    is_expired: bool,
}

/// What KMS has.
#[derive(Debug, Default)]
pub struct State {
    pub keys: BTreeMap<String, Key>,
    /// Name to id.
    pub aliases: BTreeMap<String, String>,
    tokens: BTreeMap<String, Token>,
    pub now: i64,
    made: usize,
}

/// What somebody does to a request.
pub enum Meddle {
    Pass,
    /// It is answered so, and not carried out.
    Instead(String),
    /// It is carried out, and answered so.
    After(String),
}

type Meddler = dyn Fn(&str, &Value) -> Meddle + Send + Sync;

pub struct OwnKms {
    pub fake: FakeKms,
    state: Arc<Mutex<State>>,
    meddler: Arc<Mutex<Box<Meddler>>>,
}

/// The one wrapping key; tests do not wait for more.
fn wrapping() -> &'static (Vec<u8>, OaepPrivateDecryptingKey) {
    static WRAPPING: OnceLock<(Vec<u8>, OaepPrivateDecryptingKey)> = OnceLock::new();
    WRAPPING.get_or_init(|| {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap();
        let der: PublicKeyX509Der<'_> = private.public_key().as_der().unwrap();
        let der = der.as_ref().to_vec();
        (der, OaepPrivateDecryptingKey::new(private).unwrap())
    })
}

pub fn arn(id: &str) -> String {
    format!("{PLACE}:key/{id}")
}

impl OwnKms {
    pub async fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let meddler: Arc<Mutex<Box<Meddler>>> = Arc::new(Mutex::new(Box::new(|_, _| Meddle::Pass)));
        let (own, meddling) = (Arc::clone(&state), Arc::clone(&meddler));
        let fake = FakeKms::start(move |request| {
            let (operation, asked) = (operation(request), body(request));
            let perform = || own.lock().unwrap().perform(&operation, &asked);
            match meddling.lock().unwrap()(&operation, &asked) {
                Meddle::Pass => perform(),
                Meddle::Instead(answer) => answer,
                Meddle::After(answer) => {
                    perform();
                    answer
                }
            }
        })
        .await;
        Self {
            fake,
            state,
            meddler,
        }
    }

    pub fn meddle(&self, how: impl Fn(&str, &Value) -> Meddle + Send + Sync + 'static) {
        *self.meddler.lock().unwrap() = Box::new(how);
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap())
    }

    /// For whoever meddles with it.
    pub fn shared(&self) -> Arc<Mutex<State>> {
        Arc::clone(&self.state)
    }

    /// A key that is there already; its id.
    pub fn add(&self, key: Key) -> String {
        self.with(|state| state.add(key))
    }

    pub fn expire_tokens(&self) {
        self.with(|state| {
            for token in state.tokens.values_mut() {
                token.is_expired = true;
            }
        });
    }

    /// The operations that were asked for since the last call.
    pub fn asked(&self, seen: &mut usize) -> Vec<String> {
        let requests = self.fake.requests();
        let new = requests[*seen..].iter().map(operation).collect();
        *seen = requests.len();
        new
    }
}

impl State {
    fn add(&mut self, key: Key) -> String {
        self.made += 1;
        let id = format!("{:08x}-12ab-34cd-56ef-1234567890ab", self.made);
        self.keys.insert(id.clone(), key);
        id
    }

    fn perform(&mut self, operation: &str, asked: &Value) -> String {
        let now = self.now;
        for key in self.keys.values_mut() {
            if key.valid_to.is_some_and(|at| at <= now) {
                key.material = None;
                key.valid_to = None;
            }
        }
        match self.done(operation, asked) {
            Ok(told) => answer("200 OK", &told),
            Err((code, words)) => error(code, &words),
        }
    }

    fn done(&mut self, operation: &str, asked: &Value) -> Result<Value, (&'static str, String)> {
        match operation {
            "CreateKey" => {
                assert_eq!(asked["Origin"], "EXTERNAL");
                let id = self.add(Key {
                    description: text(asked, "Description"),
                    ..Key::default()
                });
                Ok(json!({"KeyMetadata": self.keys[&id].metadata(&id)}))
            }
            "ListKeys" => {
                let from = text(asked, "Marker").parse().unwrap_or(0);
                let ids = self.keys.keys().skip(from);
                let page: Vec<Value> = ids
                    .take(PAGE)
                    .map(|id| json!({"KeyId": id, "KeyArn": arn(id)}))
                    .collect();
                let is_more = from + page.len() < self.keys.len();
                let marker = is_more.then(|| (from + PAGE).to_string());
                Ok(json!({"Keys": page, "Truncated": is_more, "NextMarker": marker}))
            }
            "CreateAlias" => {
                let name = text(asked, "AliasName");
                let id = self.id(&text(asked, "TargetKeyId"))?;
                if self.aliases.contains_key(&name) {
                    return Err(("AlreadyExistsException", format!("{name} exists")));
                }
                self.aliases.insert(name, id);
                Ok(json!({}))
            }
            _ => {
                let id = self.id(&text(asked, "KeyId"))?;
                self.done_with(operation, &id, asked)
            }
        }
    }

    fn done_with(
        &mut self,
        operation: &str,
        id: &str,
        asked: &Value,
    ) -> Result<Value, (&'static str, String)> {
        let key = self.keys.get_mut(id).unwrap();
        match operation {
            "DescribeKey" => Ok(json!({"KeyMetadata": key.metadata(id)})),
            "ListAliases" => {
                let names = self.aliases.iter().filter(|(_, target)| *target == id);
                let names: Vec<Value> = names.map(|(name, _)| json!({"AliasName": name})).collect();
                Ok(json!({"Aliases": names, "Truncated": false}))
            }
            "GetParametersForImport" | "ImportKeyMaterial" | "DeleteImportedKeyMaterial"
                if key.origin != "EXTERNAL" =>
            {
                let words = format!("{} origin is {}", arn(id), key.origin);
                Err(("UnsupportedOperationException", words))
            }
            "GetParametersForImport" => {
                assert_eq!(asked["WrappingKeySpec"], "RSA_2048");
                let token = BASE64.encode(format!("token {}", self.tokens.len()));
                let entry = Token {
                    key: id.to_owned(),
                    is_sha1: asked["WrappingAlgorithm"] == "RSAES_OAEP_SHA_1",
                    is_expired: false,
                };
                self.tokens.insert(token.clone(), entry);
                Ok(json!({
                    "KeyId": arn(id), "ImportToken": token,
                    "PublicKey": BASE64.encode(&wrapping().0),
                    "ParametersValidTo": self.now + 24 * 60 * 60,
                }))
            }
            "ImportKeyMaterial" => {
                let token = self.tokens.get(&text(asked, "ImportToken"));
                let token = token.filter(|token| token.key == id);
                let Some(token) = token else {
                    return Err(("InvalidImportTokenException", "not of this key".to_owned()));
                };
                if token.is_expired {
                    return Err(("ExpiredImportTokenException", "too old".to_owned()));
                }
                let material = unwrap(token.is_sha1, &text(asked, "EncryptedKeyMaterial"));
                let Some(material) = material.filter(|material| material.len() == 32) else {
                    return Err(("InvalidCiphertextException", "it does not open".to_owned()));
                };
                if *key.first.get_or_insert_with(|| material.clone()) != material {
                    let words = "the material must be the same".to_owned();
                    return Err(("IncorrectKeyMaterialException", words));
                }
                key.material = Some(material);
                key.valid_to = asked["ValidTo"].as_i64();
                let expires = asked["ExpirationModel"] == "KEY_MATERIAL_EXPIRES";
                assert_eq!(expires, key.valid_to.is_some());
                Ok(json!({"KeyId": arn(id)}))
            }
            "DeleteImportedKeyMaterial" => {
                key.material = None;
                key.valid_to = None;
                Ok(json!({"KeyId": arn(id)}))
            }
            _ => key.used(operation, id, asked),
        }
    }

    /// By id, ARN or alias.
    fn id(&self, name: &str) -> Result<String, (&'static str, String)> {
        let id = name.rsplit("key/").next().unwrap_or(name);
        let id = self.aliases.get(name).map_or(id, String::as_str);
        if self.keys.contains_key(id) {
            Ok(id.to_owned())
        } else {
            Err(("NotFoundException", format!("{name} is not found")))
        }
    }
}

impl Key {
    pub fn state(&self) -> &'static str {
        match (self.state, &self.material) {
            ("Enabled", None) if self.origin == "EXTERNAL" => "PendingImport",
            (state, _) => state,
        }
    }

    fn metadata(&self, id: &str) -> Value {
        let model = match (&self.material, self.valid_to) {
            (None, _) => None,
            (Some(_), None) => Some("KEY_MATERIAL_DOES_NOT_EXPIRE"),
            (Some(_), Some(_)) => Some("KEY_MATERIAL_EXPIRES"),
        };
        json!({
            "KeyId": id, "Arn": arn(id), "Enabled": self.state() == "Enabled",
            "KeyState": self.state(), "KeyUsage": "ENCRYPT_DECRYPT", "KeySpec": self.spec,
            "Origin": self.origin, "Description": self.description, "KeyManager": "CUSTOMER",
            "ExpirationModel": model, "ValidTo": self.valid_to, "CreationDate": 1_769_860_800,
        })
    }

    /// A ciphertext has all that it stands for in it, and opens under the same material alone.
    fn used(
        &self,
        operation: &str,
        id: &str,
        asked: &Value,
    ) -> Result<Value, (&'static str, String)> {
        match self.state() {
            "Enabled" => {}
            "Disabled" => return Err(("DisabledException", format!("{} is disabled.", arn(id)))),
            "PendingImport" => {
                let words = format!("{} is pending import.", arn(id));
                return Err(("KMSInvalidStateException", words));
            }
            other => return Err(("KMSInvalidStateException", format!("it is {other}"))),
        }
        let context = &asked["EncryptionContext"];
        let seal = |plain: &str| {
            let sealed = json!([id, self.material, context, plain]).to_string();
            BASE64.encode(sealed)
        };
        match operation {
            "Encrypt" => {
                let sealed = seal(&text(asked, "Plaintext"));
                Ok(json!({"KeyId": arn(id), "CiphertextBlob": sealed}))
            }
            "GenerateDataKey" => {
                let plain = BASE64.encode(Secret::<32>::random().expose());
                Ok(json!({
                    "KeyId": arn(id), "Plaintext": plain, "CiphertextBlob": seal(&plain),
                }))
            }
            "Decrypt" => {
                let sealed = BASE64.decode(text(asked, "CiphertextBlob")).unwrap();
                let sealed: Value = serde_json::from_slice(&sealed).unwrap();
                let plain = sealed[3].as_str().unwrap();
                if sealed == json!([id, self.material, context, plain]) {
                    Ok(json!({"KeyId": arn(id), "Plaintext": plain}))
                } else {
                    Err(("InvalidCiphertextException", String::new()))
                }
            }
            other => panic!("{other}"),
        }
    }
}

fn unwrap(is_sha1: bool, wrapped: &str) -> Option<Vec<u8>> {
    let algorithm = if is_sha1 {
        &OAEP_SHA1_MGF1SHA1
    } else {
        &OAEP_SHA256_MGF1SHA256
    };
    let (_, private) = wrapping();
    let mut plain = vec![0; private.min_output_size()];
    let wrapped = BASE64.decode(wrapped).unwrap();
    let opened = private.decrypt(algorithm, &wrapped, &mut plain, None);
    opened.ok().map(|plain| plain.to_vec())
}

fn text(asked: &Value, name: &str) -> String {
    asked[name].as_str().unwrap_or_default().to_owned()
}
