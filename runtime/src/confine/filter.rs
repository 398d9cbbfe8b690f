//! System calls a confined child may not make.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Calls that reach the network, other processes, or around this filter; and calls that leave the
/// process group by which the parent kills everything.
const FORBIDDEN: &[i64] = &[
    libc::SYS_socket,
    libc::SYS_io_uring_setup,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_setsid,
    libc::SYS_setpgid,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
];

/// Compiled filters, empty where this architecture or kernel has none.
pub(super) struct Filter(Vec<BpfProgram>);

impl Filter {
    /// A filter that forbids [`FORBIDDEN`] and, unless `processes`, starting processes.
    pub(super) fn new(processes: bool) -> Self {
        Self(programs(processes).unwrap_or_default())
    }

    /// Installs the filter on the calling thread and those it starts; `false` if it could not.
    pub(super) fn apply(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|program| apply_filter(program).is_ok())
    }
}

/// Forbids the calling thread, and those it starts, to run another program or to signal another
/// process. For a worker to call before it loads a candidate: it needs the worker's process id, and
/// it would forbid the `exec` that starts the worker. `false` if it could not be installed.
pub fn forbid_leaving() -> bool {
    leaving(std::process::id())
        .and_then(|rules| compile(rules, libc::EPERM))
        .is_ok_and(|program| apply_filter(&program).is_ok())
}

fn leaving(process: u32) -> Result<Rules, BackendError> {
    let mut rules = everywhere(&[libc::SYS_execve, libc::SYS_execveat]);
    let other = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, process.into())?;
    for call in [libc::SYS_tgkill, libc::SYS_rt_sigqueueinfo, libc::SYS_rt_tgsigqueueinfo] {
        rules.insert(call, vec![SeccompRule::new(vec![other.clone()])?]);
    }
    Ok(rules)
}

fn programs(processes: bool) -> Result<Vec<BpfProgram>, BackendError> {
    let mut rules = everywhere(FORBIDDEN);
    if processes {
        return Ok(vec![compile(rules, libc::EPERM)?]);
    }
    #[cfg(target_arch = "x86_64")]
    rules.extend(everywhere(&[libc::SYS_fork, libc::SYS_vfork]));
    let thread = libc::CLONE_THREAD as u64;
    let not_a_thread = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(thread), 0)?;
    rules.insert(libc::SYS_clone, vec![SeccompRule::new(vec![not_a_thread])?]);
    // A filter cannot see clone3's flags, which lie in memory. "No such call" makes the C library
    // fall back to clone, where it can.
    let no_clone3 = compile(everywhere(&[libc::SYS_clone3]), libc::ENOSYS)?;
    Ok(vec![no_clone3, compile(rules, libc::EPERM)?])
}

fn everywhere(calls: &[i64]) -> Rules {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

fn compile(rules: Rules, errno: libc::c_int) -> Result<BpfProgram, BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno as u32), arch)?.try_into()
}
