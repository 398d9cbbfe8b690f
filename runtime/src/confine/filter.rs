//! System calls a confined child may not make.

use std::collections::BTreeMap;

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, apply_filter_all_threads,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Calls that reach the network, other processes, or around this filter; and calls that leave the
/// process group by which the parent kills everything.
const FORBIDDEN: &[i64] = &[
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
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
];

/// Calls that run another program. It is as confined as who runs it, and nothing but compilers are worth it.
const RUNNING_PROGRAMS: &[i64] = &[libc::SYS_execve, libc::SYS_execveat];

/// Calls that a candidate has no use for: they change files that Landlock lets it only read, share
/// memory or messages with processes outside, look into the machine, or set it up. A worker may run
/// as root, so that none of these may be left to permissions.
const FORBIDDEN_TO_CANDIDATES: &[i64] = &[
    // Attributes of files.
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // Shared memory, messages, keys.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Looking into the machine.
    libc::SYS_perf_event_open,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_kcmp,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    // Its own limits: who lowers them dies as if somebody else had killed it.
    libc::SYS_setrlimit,
    // Setting it up.
    libc::SYS_chroot,
    libc::SYS_pivot_root,
    libc::SYS_umount2,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// The same where an architecture has calls of its own for it.
#[cfg(target_arch = "x86_64")]
const FORBIDDEN_ON_X86_64: &[i64] = &[
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_ioperm,
    libc::SYS_iopl,
];
#[cfg(not(target_arch = "x86_64"))]
const FORBIDDEN_ON_X86_64: &[i64] = &[];

/// Calls that change a process, and which of their arguments names it; 0 is the caller.
const OF_A_PROCESS: &[(i64, u8)] = &[
    (libc::SYS_prlimit64, 0),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_setpriority, 1),
    (libc::SYS_ioprio_set, 1),
];

/// Compiled filters, empty where this architecture or kernel has none.
pub(super) struct Filter(Vec<BpfProgram>);

impl Filter {
    /// A filter that forbids [`FORBIDDEN`], sockets, and, unless `processes`, starting processes. A driver gets
    /// `local_sockets`.
    pub(super) fn new(processes: bool, local_sockets: bool) -> Self {
        Self(programs(processes, local_sockets).unwrap_or_default())
    }

    /// Installs the filter on the calling thread and those it starts; `false` if it could not.
    pub(super) fn apply(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|program| apply_filter(program).is_ok())
    }
}

/// Forbids the process to run another program, to signal or change another process, to change its limits, and what else a
/// candidate has no use for. For a worker to call before it loads a candidate: it needs the worker's process id, and it
/// would forbid the `exec` that starts the worker. It holds for all threads: a signal handler of the candidate may run
/// on the one that waits. `false` if it could not be installed.
pub fn forbid_leaving() -> bool {
    leaving(std::process::id(), false)
        .and_then(|rules| compile(rules, libc::EPERM))
        .is_ok_and(|program| apply_filter_all_threads(&program).is_ok())
}

/// The filter of [`forbid_leaving`] for a process that is not written in Rust and installs it itself, as `seccomp(2)` takes
/// it; with `programs`, other programs may be run, under the same filter. It forbids sockets of every kind besides. `None`
/// where there is none for this architecture.
pub fn leaving_program(process: u32, programs: bool) -> Option<Vec<u8>> {
    let rules = leaving(process, programs).map(|mut rules| {
        rules.extend(everywhere(&[libc::SYS_socket]));
        rules
    });
    let program = rules.and_then(|rules| compile(rules, libc::EPERM)).ok()?;
    let bytes = |step: &seccompiler::sock_filter| {
        let ([a, b], [c, d, e, f]) = (step.code.to_ne_bytes(), step.k.to_ne_bytes());
        [a, b, step.jt, step.jf, c, d, e, f]
    };
    Some(program.iter().flat_map(bytes).collect())
}

/// Forbids sockets of every kind to the calling thread and those it starts: for a worker whose driver had to have some.
/// `false` if it could not be installed.
pub(super) fn forbid_sockets() -> bool {
    compile(everywhere(&[libc::SYS_socket]), libc::EPERM).is_ok_and(|program| apply_filter(&program).is_ok())
}

fn leaving(process: u32, programs: bool) -> Result<Rules, BackendError> {
    let mut rules = everywhere(FORBIDDEN_TO_CANDIDATES);
    rules.extend(everywhere(if programs { &[] } else { RUNNING_PROGRAMS }));
    rules.extend(everywhere(FORBIDDEN_ON_X86_64));
    for (call, argument) in OF_A_PROCESS {
        let is_not =
            |who: u64| SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, who);
        let another = vec![is_not(0)?, is_not(process.into())?];
        rules.insert(*call, vec![SeccompRule::new(another)?]);
    }
    // With a new limit in hand; asking for one that holds is no change.
    let sets = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0)?;
    rules.entry(libc::SYS_prlimit64).or_default().push(SeccompRule::new(vec![sets])?);
    let death_signal = libc::PR_SET_PDEATHSIG as u64;
    let outlives = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, death_signal)?;
    rules.insert(libc::SYS_prctl, vec![SeccompRule::new(vec![outlives])?]);
    let other = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, process.into())?;
    // Nor may it kill itself: that is how the system's own out-of-memory killer is told apart.
    let kill = libc::SIGKILL as u64;
    for (call, signal) in
        [(libc::SYS_tgkill, 2), (libc::SYS_rt_sigqueueinfo, 1), (libc::SYS_rt_tgsigqueueinfo, 2)]
    {
        let kills = SeccompCondition::new(signal, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, kill)?;
        let either = vec![SeccompRule::new(vec![other.clone()])?, SeccompRule::new(vec![kills])?];
        rules.insert(call, either);
    }
    Ok(rules)
}

fn programs(processes: bool, local_sockets: bool) -> Result<Vec<BpfProgram>, BackendError> {
    let mut rules = everywhere(FORBIDDEN);
    let local = libc::AF_UNIX as u64;
    let remote = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, local)?;
    let which = if local_sockets { vec![SeccompRule::new(vec![remote])?] } else { Vec::new() };
    rules.insert(libc::SYS_socket, which);
    if processes {
        // ninja gives every compiler a group of its own, and gives up where it cannot. It is told that it could: they
        // stay in the group by which the parent kills everything.
        let stay = compile(everywhere(&[libc::SYS_setpgid]), 0)?;
        return Ok(vec![stay, compile(rules, libc::EPERM)?]);
    }
    rules.extend(everywhere(&[libc::SYS_setpgid]));
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
