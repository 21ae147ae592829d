//! What a person does with a mounted directory, on real mounts by the built program: of a bucket
//! on MinIO (https), and of a local directory.
//!
//! A test that finds no server fails. Tests in modules named `as_root` switch users or mount for
//! others, and so need root; `scripts/test` says so when it leaves them out for an ordinary user.

#[path = "../support/answer.rs"]
mod answer;
#[path = "../support/customer_key.rs"]
mod customer_key;
#[path = "../support/doctor.rs"]
mod doctor_report;
#[path = "../support/fstab_machine.rs"]
mod fstab_machine;
#[path = "../support/decryptor.rs"]
mod independent;
#[path = "../support/localstack.rs"]
mod localstack;
#[path = "../support/minio.rs"]
mod minio;
#[path = "../support/mount.rs"]
mod mount;
#[path = "../support/other_client.rs"]
mod other_client;
#[path = "../pjdfstest/mod.rs"]
mod pjdfstest;
#[path = "../support/process.rs"]
mod process;
#[path = "../support/proxy/mod.rs"]
mod proxy;
#[path = "../support/raw_objects.rs"]
mod raw_objects;
#[path = "../support/request_counts.rs"]
mod request_counts;
#[path = "../support/s3_server.rs"]
mod s3_server;
#[path = "../support/s3fs.rs"]
mod s3fs;
#[path = "../support/terminal.rs"]
mod terminal;
#[path = "../support/traces.rs"]
mod traces;
#[path = "../support/wait.rs"]
mod wait;

mod attributes;
mod audits;
mod checks;
mod clones;
mod crashes;
mod doctor;
mod ending;
mod exclusive;
mod files;
mod fstab;
mod fsx;
mod key_policy;
mod key_usage;
mod kms_outage;
mod least_privilege;
mod matrix;
mod memory;
mod modes;
mod mounting;
mod moves;
mod other_keys;
mod outage;
mod outages;
mod own_material;
mod policies;
mod policy_command;
mod programs;
mod proofs;
mod renames;
mod rewrites;
mod s3ec_interop;
mod s3fs_interop;
mod sealed;
mod sealed_costs;
mod sealed_matrix;
mod sealed_secrets;
mod secrets;
mod sharing;
mod shown;
mod stage;
mod status;
mod systems;
mod threats;
mod tree;
mod unstored;
mod wire;
mod write_back;
