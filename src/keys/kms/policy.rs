//! The policy of a key.

use std::time::Duration;

use super::Kms;
use super::deadline::Deadline;
use super::error::{KmsError, Operation};
use super::key_name::KeyName;

/// The name of the one policy that a key has.
const NAME: &str = "default";

impl Kms {
    /// The policy of a key, by the key's ARN: JSON.
    ///
    /// # Errors
    /// When KMS does not tell it.
    pub async fn key_policy(&self, arn: &str, timeout: Duration) -> Result<String, KmsError> {
        let name = KeyName::parse(arn);
        let (client, endpoint) = self.place(&name);
        let subject = name.subject(Operation::GetKeyPolicy, endpoint);
        let answer = Deadline::after(timeout)
            .run(&subject, || {
                let asked = client.get_key_policy().key_id(name.as_str());
                asked.policy_name(NAME).send()
            })
            .await?;
        answer
            .policy
            .ok_or_else(|| KmsError::bad_answer(&subject, "the answer has no policy"))
    }

    /// Replaces the policy of a key. KMS itself refuses one that takes the right to replace it
    /// from whoever asks; that check is left on.
    ///
    /// # Errors
    /// When KMS does not take it.
    pub async fn put_key_policy(
        &self,
        arn: &str,
        policy: &str,
        timeout: Duration,
    ) -> Result<(), KmsError> {
        let name = KeyName::parse(arn);
        let (client, endpoint) = self.place(&name);
        let subject = name.subject(Operation::PutKeyPolicy, endpoint);
        let asking = Deadline::after(timeout);
        let put = asking.run(&subject, || {
            let asked = client.put_key_policy().key_id(name.as_str());
            asked.policy_name(NAME).policy(policy).send()
        });
        put.await.map(|_empty| ())
    }
}
