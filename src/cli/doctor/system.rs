//! Whether this system can mount.

use crate::admin::doctor::Finding;
use crate::mount::mounting::MountError;
use crate::mount::readiness;

pub(super) fn look(allow_other: bool) -> Vec<Finding> {
    let device = match readiness::device() {
        Ok(()) => Finding::ok("FUSE", "/dev/fuse can be opened"),
        Err(error) => Finding::fail("FUSE", error.to_string()),
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let helper = readiness::helper(&path);
    let is_root = readiness::is_root();
    let others = readiness::others_let_in();
    vec![
        device,
        judge_helper(helper, is_root),
        judge_others(others, is_root, allow_other),
    ]
}

fn judge_helper(helper: Result<std::path::PathBuf, MountError>, is_root: bool) -> Finding {
    let check = "fusermount3";
    match helper {
        _ if is_root => Finding::ok(check, "not needed: root mounts by itself"),
        Ok(helper) => Finding::ok(check, helper.display().to_string()),
        Err(error) => Finding::fail(check, error.to_string()),
    }
}

fn judge_others(others: Result<(), MountError>, is_root: bool, wanted: bool) -> Finding {
    let check = "user_allow_other";
    match others {
        _ if is_root => Finding::ok(check, "not needed: root lets in whom it wants"),
        Ok(()) => Finding::ok(check, "--allow-other is permitted"),
        Err(error) if wanted => Finding::fail(check, error.to_string()),
        Err(_not_wanted) => Finding::ok(check, "not set, and only --allow-other needs it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::doctor::Status;

    #[test]
    fn what_only_ordinary_users_need_is_asked_of_them_alone() {
        for (is_root, status) in [(true, Status::Ok), (false, Status::Fail)] {
            let helper = judge_helper(Err(MountError::NoHelper), is_root);
            assert_eq!(helper.status, status);
            let others = || Err(MountError::AllowOtherNotPermitted);
            assert_eq!(judge_others(others(), is_root, true).status, status);
            assert_eq!(judge_others(others(), is_root, false).status, Status::Ok);
        }
        let missing = judge_helper(Err(MountError::NoHelper), false);
        assert!(
            missing
                .message
                .ends_with("install the package fuse3, or mount as root")
        );
    }
}
