//! The order of one confinement, from the first probe to the last record.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Duration;

use landlock::{BitFlags, Scope};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::allowances::Allowances;
use super::call::Shared;
use super::filter::{self, Forks, Free};
use super::hand_over::Copies;
use super::holds::Holds;
use super::landlock::Domain;
use super::layers::{CAPABILITIES, EXEC_STOP, LANDLOCK, SECCOMP, SIGNAL_SCOPE};
use super::mounts::Mounts;
use super::moved::Moves;
use super::network::BoundPaths;
use super::processes::{Born, Processes, link_of};
use super::records::Records;
use super::signals::SIGNAL;
use super::status::ExecBound;
use super::supervise::{Pool, State};
use super::table::Handler;
use super::tree::{Becomes, Inside, Message, STEP_FORK, Tree};
use super::waits::Waits;
use super::{layers, status};
use crate::base::cancel::Cancel;
use crate::os::linux::privilege;
use crate::os::linux::process::{self, ForkError, SingleThreaded};
use crate::os::linux::seccomp::{self, Instruction, Listener};
use crate::sandbox::lower::{self, LeftAlone};
use crate::sandbox::weaken::{Protection, off};
use crate::sandbox::{Command, End, EnforcementReport, Job, SandboxError, Supervised, Trap};
use crate::sbpl::Policy;

/// How often the supervisor looks after its workers and at [`Cancel`] while calls come, and while none do.
const TICKS: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(10)];

/// Steps of the first process, by the number it reports.
const STEPS: [&str; 6] = [
    "be forked",
    "close its descriptors",
    "keep a descriptor across the exec",
    "enter its working directory",
    "enter the inner Landlock domain",
    "install its filter",
];
const STEP_CLOSE: usize = 1;
const STEP_KEEP: usize = 2;
const STEP_DIRECTORY: usize = 3;
const STEP_DOMAIN: usize = 4;
const STEP_FILTER: usize = 5;

/// What the first process does once it is confined.
enum Start<'c, F> {
    Body(F),
    Program(&'c Prepared),
}

impl<F> Start<'_, F> {
    fn becomes(&self) -> Becomes {
        match self {
            Self::Body(_) => Becomes::Worker,
            Self::Program(_) => Becomes::Program,
        }
    }
}

/// A command ready for execve(2).
struct Prepared {
    program: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
    cwd: CString,
}

/// What will be enforced, decided before anything is changed.
struct Plan<'p> {
    policy: &'p Policy,
    program: Option<Vec<Instruction>>,
    domains: Option<(Domain, Domain)>,
    exec_bound: ExecBound,
    signals_are_scoped: bool,
    signals_are_free: bool,
    alone: LeftAlone,
    forks: Forks,
    mounts: Mounts,
}

pub(in crate::sandbox) fn enter(job: &Job<'_>, body: impl FnOnce() -> u8) -> Result<Supervised, SandboxError> {
    // A worker whose parent is gone has nobody to report to. A command under `exec` may outlive the shell that started it.
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .map_err(|e| set_up("ask to be ended with its parent")(e.into()))?;
    confine(job, Start::Body(body), &Cancel::default())
}

pub(in crate::sandbox) fn exec(job: &Job<'_>, command: &Command) -> Result<Supervised, SandboxError> {
    let Some(program) = find(command) else { return Ok(not_executed(Errno::NOENT)) };
    let prepared = prepare(command, program)?;
    confine::<fn() -> u8>(job, Start::Program(&prepared), &command.cancel)
}

fn not_executed(errno: Errno) -> Supervised {
    let end = End::Exited(if errno == Errno::NOENT { 127 } else { 126 });
    Supervised { exec_errno: Some(errno.raw_os_error()), ..Supervised::ended(end) }
}

/// The program's path: as given if it holds a slash, else the first file of that name in the command's `PATH`.
fn find(command: &Command) -> Option<std::path::PathBuf> {
    let program = std::path::Path::new(&command.program);
    if command.program.as_bytes().contains(&b'/') {
        return Some(program.to_owned());
    }
    let path = command.env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| value.clone());
    let path = path.unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    std::env::split_paths(&path)
        .map(|directory| command.cwd.join(directory).join(program))
        .find(|candidate| rustix::fs::access(candidate, rustix::fs::Access::EXEC_OK).is_ok() && candidate.is_file())
}

fn prepare(command: &Command, program: std::path::PathBuf) -> Result<Prepared, SandboxError> {
    let text = |bytes: &[u8]| {
        CString::new(bytes).map_err(|_| SandboxError::SetUp {
            step: "pass an argument that holds a NUL byte",
            source: Errno::INVAL.into(),
        })
    };
    let mut env = Vec::new();
    for (name, value) in &command.env {
        env.push(text(&[name.as_bytes(), b"=", value.as_bytes()].concat())?);
    }
    Ok(Prepared {
        program: text(program.as_os_str().as_bytes())?,
        argv: command.argv.iter().map(|arg| text(arg.as_bytes())).collect::<Result<_, _>>()?,
        env,
        cwd: text(OsStr::as_bytes(command.cwd.as_os_str()))?,
    })
}

fn confine<F: FnOnce() -> u8>(job: &Job<'_>, start: Start<'_, F>, cancel: &Cancel) -> Result<Supervised, SandboxError> {
    let only = SingleThreaded::check().map_err(fork_failed)?;
    let probed = layers::probe();
    let offered = probed.clone().without(&job.without_layers);
    #[cfg(feature = "test-fakes")]
    let offered = offered.without(&crate::sandbox::weaken::names());
    if job.policy.is_some()
        && let Some(obstacle) = layers::obstacle(&probed)
    {
        return Err(obstacle);
    }
    let plan = job.policy.map(|policy| plan(job, policy, start.becomes(), &offered)).transpose()?;
    let dropped = if offered.has(CAPABILITIES) {
        privilege::drop_capabilities().map_err(|e| set_up("give up capabilities")(e.into()))?
    } else if off(Protection::NoNewPrivs) {
        Vec::new()
    } else {
        rustix::thread::set_no_new_privs(true).map_err(|e| set_up("set no_new_privs")(e.into()))?;
        Vec::new()
    };
    if let Some((outer, _)) = plan.as_ref().and_then(|plan| plan.domains.as_ref())
        && !off(Protection::OuterDomain)
    {
        outer.enter().map_err(|e| set_up("enter the outer Landlock domain")(std::io::Error::other(e)))?;
    }
    let scoped = plan.as_ref().is_some_and(|plan| plan.signals_are_scoped) && !off(Protection::InnerDomain);
    let mut tree = Tree::grow(only, start.becomes(), scoped, |inside| first_process(job, plan.as_ref(), start, inside))
        .map_err(fork_failed)?;
    // While the first process confines itself.
    let report = plan.as_ref().filter(|_| job.report).map(|plan| report(job, plan, offered, dropped));
    let supervised = supervise(job, plan.as_ref(), &mut tree, cancel);
    // While the reaper ends.
    drop(plan);
    tree.bury();
    supervised.map(|supervised| Supervised { report, ..supervised })
}

fn plan<'p>(
    job: &Job<'_>,
    policy: &'p Policy,
    becomes: Becomes,
    offered: &crate::sandbox::Layers,
) -> Result<Plan<'p>, SandboxError> {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let handed = [&[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()], job.keep].concat();
    let bounded = offered.has(LANDLOCK) && !job.observe;
    let allowances = Allowances::new(policy, job.trap, job.observe, bounded, becomes, &handed);
    let alone = LeftAlone {
        read: allowances.plain_read(),
        write: allowances.write_alone(),
        connect: allowances.network().outbound,
        bind: allowances.handler(Handler::Bind),
    };
    let lowered = lower::lower(policy, alone);
    let program = offered.has(SECCOMP).then(|| filter::program(&allowances));
    let domains = bounded.then(|| {
        let abi = offered.landlock_abi;
        let mut scopes = BitFlags::EMPTY;
        if offered.has(SIGNAL_SCOPE) {
            scopes |= Scope::Signal;
            // Where connecting is left to the program, the profile allows it everywhere.
            if !alone.connect {
                scopes |= Scope::AbstractUnixSocket;
            }
        }
        let outer = Domain::prepare(&lowered.d1, "d1", abi, BitFlags::EMPTY);
        (outer, Domain::prepare(&lowered.d2, "d2", abi, scopes))
    });
    let exec_bound = match &domains {
        _ if lowered.exec_is_unconditional => ExecBound::Exact,
        Some((_, d2)) if lowered.exec_is_exact && !d2.widened => ExecBound::Exact,
        _ if offered.has(EXEC_STOP) => ExecBound::Stopped { scripts: lowered.scripts_can_be_exchanged },
        Some(_) => ExecBound::Superset,
        None => ExecBound::None,
    };
    // Opened now, because the outer domain need not admit it.
    let mounts = Mounts::open().map_err(set_up("open the list of mounts"))?;
    let signals_are_scoped = domains.is_some() && offered.has(SIGNAL_SCOPE);
    let (signals_are_free, forks) = (allowances.everywhere(SIGNAL), allowances.forks());
    Ok(Plan { policy, program, domains, exec_bound, signals_are_scoped, signals_are_free, alone, forks, mounts })
}

fn report(
    job: &Job<'_>,
    plan: &Plan<'_>,
    layers: crate::sandbox::Layers,
    capabilities_dropped: Vec<String>,
) -> EnforcementReport {
    let (d1, d2) = match &plan.domains {
        Some((d1, d2)) => (Some(d1), Some(d2)),
        None => (None, None),
    };
    let operations = status::operations(
        plan.policy,
        job.observe,
        plan.program.is_some(),
        plan.exec_bound,
        plan.signals_are_scoped,
        plan.alone,
    );
    EnforcementReport {
        platform: format!("linux-{}", std::env::consts::ARCH),
        layers,
        observe: job.observe,
        operations,
        d1_roots: d1.map(|domain| domain.roots.clone()).unwrap_or_default(),
        d2_roots: d2.map(|domain| domain.roots.clone()).unwrap_or_default(),
        backstop: if d1.is_none_or(|d1| d1.unbounded) { "none" } else { "landlock" }.to_owned(),
        skipped_roots: [d1, d2].into_iter().flatten().flat_map(|domain| domain.skipped.clone()).collect(),
        capabilities_dropped,
    }
}

/// The first process of the tree, from its fork to its end.
fn first_process<F: FnOnce() -> u8>(
    job: &Job<'_>,
    plan: Option<&Plan<'_>>,
    start: Start<'_, F>,
    inside: Inside<'_>,
) -> u8 {
    let listener = match set_up_first_process(job, plan, inside, &start) {
        Ok(listener) => listener,
        Err((step, errno)) => {
            Message::Failed { step, errno: errno.raw_os_error() }.send(inside.messages);
            return 1;
        }
    };
    let number = listener.as_ref().map_or(-1, AsRawFd::as_raw_fd);
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    Message::Ready { pid, listener: number }.send(inside.messages);
    if !matches!(rustix::io::retry_on_intr(|| rustix::io::read(inside.release, &mut [0])), Ok(1)) {
        // The supervisor gave up.
        return 1;
    }
    drop(listener);
    match start {
        Start::Body(body) => {
            // A program does not get the pipes either: they are closed when it is executed.
            if close_all_but(job, &[]).is_err() {
                return 1;
            }
            catch_unwind(AssertUnwindSafe(body)).unwrap_or(101)
        }
        Start::Program(prepared) => {
            let errno = process::execve(&prepared.program, &prepared.argv, &prepared.env);
            Message::NotExecuted { errno: errno.raw_os_error() }.send(inside.messages);
            if errno == Errno::NOENT { 127 } else { 126 }
        }
    }
}

/// Everything before the first judged call: each step narrows what is left.
fn set_up_first_process<F>(
    job: &Job<'_>,
    plan: Option<&Plan<'_>>,
    inside: Inside<'_>,
    start: &Start<'_, F>,
) -> Result<Option<OwnedFd>, (usize, Errno)> {
    let at = |step: usize| move |errno: Errno| (step, errno);
    if let Start::Program(prepared) = start {
        process::restore_pipe_signal();
        for fd in job.keep {
            process::keep_across_exec(*fd).map_err(at(STEP_KEEP))?;
        }
        rustix::process::chdir(&prepared.cwd).map_err(at(STEP_DIRECTORY))?;
    }
    if let Some((_, inner)) = plan.and_then(|plan| plan.domains.as_ref())
        && !off(Protection::InnerDomain)
    {
        inner.enter().map_err(|_| (STEP_DOMAIN, Errno::INVAL))?;
    }
    if !off(Protection::ClosedDescriptors) {
        close_all_but(job, &[inside.messages, inside.release]).map_err(at(STEP_CLOSE))?;
    }
    match plan.and_then(|plan| plan.program.as_ref()) {
        Some(program) => seccomp::install(program).map(Some).map_err(at(STEP_FILTER)),
        None => Ok(None),
    }
}

/// Closes all descriptors but the standard ones, those that the job keeps, and some more.
fn close_all_but(job: &Job<'_>, more: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let kept = job.keep.iter().chain(more).map(AsRawFd::as_raw_fd);
    process::close_all_but(&[0, 1, 2].into_iter().chain(kept).collect::<Vec<_>>())
}

/// Answers the tree's calls until its first process has ended.
fn supervise(
    job: &Job<'_>,
    plan: Option<&Plan<'_>>,
    tree: &mut Tree,
    cancel: &Cancel,
) -> Result<Supervised, SandboxError> {
    let records = Records::default();
    let outcome = match plan {
        Some(plan) if plan.program.is_some() => answer_until_ended(job, plan, &records, tree, cancel)?,
        _ => {
            ready(tree)?;
            tree.release().map_err(set_up("release the process to be confined"))?;
            wait_until_ended(tree, cancel, None, || false)?
        }
    };
    let (records, tallies, records_dropped) = records.take();
    Ok(Supervised { records, tallies, records_dropped, ..outcome })
}

/// Takes the listener over and answers what comes from it. What does not need the first process is done while that confines
/// itself.
fn answer_until_ended(
    job: &Job<'_>,
    plan: &Plan<'_>,
    records: &Records,
    tree: &mut Tree,
    cancel: &Cancel,
) -> Result<Supervised, SandboxError> {
    process::allow_interrupts();
    process::allow_descriptors();
    let processes = Processes::new(tree.reaper.as_raw_nonzero().get());
    let (bound, moves, waits) = (BoundPaths::default(), Moves::default(), Waits::default());
    let (state, shared) = (State::new(), OnceLock::new());
    std::thread::scope(|scope| {
        let mut pool = Pool::start(scope, &state, &shared).map_err(set_up("start a supervisor thread"))?;
        let started = look_at(&plan.mounts).and_then(|()| {
            let (pid, listener) = take_listener(tree)?;
            let home = link_of(pid, libc::AT_FDCWD).unwrap_or_default();
            // Its first call waits until there is somebody to receive it.
            tree.release().map_err(set_up("release the process to be confined"))?;
            Ok(Shared {
                policy: plan.policy,
                observe: job.observe,
                records_permitted: job.trap == Trap::All,
                listener,
                processes: &processes,
                records,
                mounts: &plan.mounts,
                home,
                bound: &bound,
                moves: &moves,
                waits: &waits,
                signals_are_scoped: plan.signals_are_scoped,
                signals_are_free: plan.signals_are_free,
                born: (plan.forks == Forks::Told).then(|| Born::with(pid)),
                holds: Holds::default(),
                copies: Copies::default(),
                watch_exec: matches!(plan.exec_bound, ExecBound::Stopped { .. }),
            })
        });
        let ended = started.and_then(|started| {
            pool.begin(started);
            wait_until_ended(tree, cancel, Some(&plan.mounts), || pool.tend())
        });
        if ended.is_err() {
            tree.end();
        }
        pool.stop();
        ended
    })
}

fn look_at(mounts: &Mounts) -> Result<(), SandboxError> {
    mounts.look().map_err(set_up("read the list of mounts"))
}

/// The first process's number and that of its listener, once it is confined.
fn ready(tree: &mut Tree) -> Result<(i32, i32), SandboxError> {
    match next(tree)? {
        Message::Ready { pid, listener } => Ok((pid, listener)),
        Message::Failed { step, errno } => Err(inside_failed(step, errno)),
        Message::NotExecuted { .. } | Message::Ended(_) => Err(SandboxError::ReaperDied),
    }
}

fn take_listener(tree: &mut Tree) -> Result<(i32, Listener), SandboxError> {
    let (pid, number) = ready(tree)?;
    let target = rustix::process::Pid::from_raw(pid).ok_or(SandboxError::ReaperDied)?;
    let fd = process::take_descriptor(target, number)
        .map_err(|e| set_up("take the listener of the process to be confined")(e.into()))?;
    Ok((pid, Listener::new(fd)))
}

/// `tend` is called at every tick, and says whether calls came since the last one.
fn wait_until_ended(
    tree: &mut Tree,
    cancel: &Cancel,
    mounts: Option<&Mounts>,
    mut tend: impl FnMut() -> bool,
) -> Result<Supervised, SandboxError> {
    let mut exec_errno = None;
    let mut cancelled = false;
    let mut at_work = true;
    loop {
        let tick = TICKS[usize::from(!at_work)];
        let tick = Timespec { tv_sec: 0, tv_nsec: tick.subsec_nanos().into() };
        let mut events = vec![PollFd::new(&tree.messages, PollFlags::IN)];
        events.extend(mounts.map(Mounts::changes));
        let polled = poll(&mut events, Some(&tick)).is_ok();
        let happened = |event: &PollFd<'_>| polled && !event.revents().is_empty();
        let (told, mounted) = (happened(&events[0]), events.get(1).is_some_and(happened));
        if mounted {
            mounts.map_or(Ok(()), look_at)?;
        }
        at_work = tend();
        if cancel.is_set() && !cancelled {
            cancelled = true;
            tree.end();
        }
        if !told {
            continue;
        }
        match next(tree)? {
            Message::NotExecuted { errno } => exec_errno = Some(errno),
            Message::Ended(end) => {
                return Ok(Supervised { exec_errno, cancelled, ..Supervised::ended(end) });
            }
            Message::Failed { step, errno } => return Err(inside_failed(step, errno)),
            Message::Ready { .. } => {}
        }
    }
}

fn next(tree: &mut Tree) -> Result<Message, SandboxError> {
    Message::receive(&mut tree.messages).map_err(set_up("hear from the confined tree"))?.ok_or(SandboxError::ReaperDied)
}

fn set_up(step: &'static str) -> impl FnOnce(std::io::Error) -> SandboxError {
    move |source| SandboxError::SetUp { step, source }
}

fn inside_failed(step: usize, errno: i32) -> SandboxError {
    let step = STEPS.get(step).copied().unwrap_or(STEPS[STEP_FORK]);
    SandboxError::InsideSetUp { step, source: std::io::Error::from_raw_os_error(errno) }
}

fn fork_failed(error: ForkError) -> SandboxError {
    match error {
        ForkError::Threads(threads) => SandboxError::NotSingleThreaded { threads },
        ForkError::System(errno) => SandboxError::SetUp { step: "fork", source: errno.into() },
    }
}
