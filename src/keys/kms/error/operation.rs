//! What is asked of KMS.

/// A request; its name is the permission that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::keys::kms) enum Operation {
    CreateAlias,
    CreateKey,
    Decrypt,
    /// The same, of what was encrypted to see whether it comes back.
    DecryptProbe,
    DeleteImportedKeyMaterial,
    DescribeKey,
    Encrypt,
    GenerateDataKey,
    GetKeyPolicy,
    GetKeyRotationStatus,
    GetParametersForImport,
    ImportKeyMaterial,
    ListAliases,
    ListKeyRotations,
    ListKeys,
    PutKeyPolicy,
}

impl Operation {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CreateAlias => "CreateAlias",
            Self::CreateKey => "CreateKey",
            Self::Decrypt | Self::DecryptProbe => "Decrypt",
            Self::DeleteImportedKeyMaterial => "DeleteImportedKeyMaterial",
            Self::DescribeKey => "DescribeKey",
            Self::Encrypt => "Encrypt",
            Self::GenerateDataKey => "GenerateDataKey",
            Self::GetKeyPolicy => "GetKeyPolicy",
            Self::GetKeyRotationStatus => "GetKeyRotationStatus",
            Self::GetParametersForImport => "GetParametersForImport",
            Self::ImportKeyMaterial => "ImportKeyMaterial",
            Self::ListAliases => "ListAliases",
            Self::ListKeyRotations => "ListKeyRotations",
            Self::ListKeys => "ListKeys",
            Self::PutKeyPolicy => "PutKeyPolicy",
        }
    }

    /// What is wrong with such a request is wrong with the key's name.
    pub(super) const fn is_about_name_alone(self) -> bool {
        matches!(self, Self::DescribeKey)
    }

    /// There is a key, whose policy has a say.
    pub(super) const fn has_a_key(self) -> bool {
        !matches!(self, Self::CreateKey | Self::ListKeys | Self::ListAliases)
    }

    /// It is for keys whose material is imported.
    pub(super) const fn is_about_material(self) -> bool {
        matches!(
            self,
            Self::GetParametersForImport
                | Self::ImportKeyMaterial
                | Self::DeleteImportedKeyMaterial
        )
    }

    /// What follows the key's name in a sentence.
    pub(super) const fn failed(self) -> &'static str {
        match self {
            Self::CreateAlias => "cannot be made",
            Self::CreateKey => "gets no new key",
            Self::Decrypt => "does not unwrap the data key",
            Self::DecryptProbe => "does not decrypt what it has encrypted",
            Self::DeleteImportedKeyMaterial => "keeps its material",
            Self::DescribeKey => "cannot be looked at",
            Self::Encrypt => "does not encrypt",
            Self::GenerateDataKey => "gives no data key",
            Self::GetKeyPolicy => "does not tell its policy",
            Self::GetKeyRotationStatus => "does not tell whether it is rotated",
            Self::GetParametersForImport => "gives no wrapping key and no import token",
            Self::ImportKeyMaterial => "takes no material",
            Self::ListAliases => "does not tell its aliases",
            Self::ListKeyRotations => "does not tell its rotations",
            Self::ListKeys => "may have a key of an earlier run, which cannot be looked for",
            Self::PutKeyPolicy => "keeps the policy that it has",
        }
    }
}
