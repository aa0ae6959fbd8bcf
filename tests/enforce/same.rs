//! A program that is allowed everything it does sees the same system as without a sandbox.

use std::process::Command;

use super::support::{Place, User, each_user, skipped};

/// Prints the outcome of many calls; run twice, with and without a sandbox, in equal directories.
const CALLS: &str = r#"
import os, sys, stat, errno, mmap, fcntl, time, tempfile
os.chdir(sys.argv[1])
os.umask(0o022)
def show(name, action):
    try:
        print(name, repr(action()))
    except OSError as error:
        print(name, errno.errorcode[error.errno])
def write(name, text, flags=os.O_CREAT | os.O_WRONLY, mode=0o666):
    fd = os.open(name, flags, mode)
    try:
        return os.write(fd, text)
    finally:
        os.close(fd)
def read(name, flags=os.O_RDONLY, **more):
    fd = os.open(name, flags, **more)
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)
def mode(name, **more):
    s = os.stat(name, **more)
    return oct(s.st_mode), s.st_size, s.st_nlink, s.st_uid
show('write', lambda: write('f', b'hello'))
show('read', lambda: read('f'))
show('again', lambda: write('f', b'x', os.O_CREAT | os.O_EXCL | os.O_WRONLY))
show('append', lambda: write('f', b'more', os.O_APPEND | os.O_WRONLY))
show('size', lambda: mode('f'))
show('trunc', lambda: write('f', b'', os.O_TRUNC | os.O_WRONLY))
show('mode', lambda: write('m', b'', mode=0o4751) or mode('m'))
show('mkdir', lambda: os.mkdir('d', 0o777) or mode('d'))
show('mkdir/', lambda: os.mkdir('d2/'))
show('mkdir again', lambda: os.mkdir('d'))
show('mkdir in missing', lambda: os.mkdir('no/d'))
show('symlink', lambda: os.symlink('f', 'l'))
show('symlink again', lambda: os.symlink('f', 'l'))
show('symlink/', lambda: os.symlink('f', 'new/'))
show('readlink', lambda: os.readlink('l'))
show('readlink file', lambda: os.readlink('f'))
show('lstat', lambda: mode('l', follow_symlinks=False))
show('nofollow', lambda: read('l', os.O_RDONLY | os.O_NOFOLLOW))
show('directory', lambda: read('f', os.O_RDONLY | os.O_DIRECTORY))
show('open directory', lambda: read('d'))
show('write directory', lambda: write('d', b''))
show('link', lambda: os.link('f', 'h') or mode('h'))
show('link again', lambda: os.link('f', 'h'))
show('link to symlink', lambda: os.link('l', 'hl', follow_symlinks=False) or mode('hl', follow_symlinks=False))
show('link directory', lambda: os.link('d', 'hd'))
show('rename', lambda: os.rename('h', 'r'))
show('rename over', lambda: os.rename('r', 'm') or os.listdir('.').sort())
show('rename missing', lambda: os.rename('no', 'x'))
show('rename dir over file', lambda: os.rename('d', 'f'))
show('rename file over dir', lambda: os.rename('f', 'd'))
show('rename into itself', lambda: os.rename('d', 'd/x'))
show('rename same', lambda: os.rename('f', 'f'))
show('rename dot', lambda: os.rename('d/.', 'x'))
show('chmod', lambda: os.chmod('f', 0o604) or mode('f'))
show('chmod link', lambda: os.chmod('l', 0o640) or mode('f'))
show('fchmod', lambda: os.fchmod(os.open('f', os.O_RDONLY), 0o600) or mode('f'))
show('chown', lambda: os.chown('f', -1, os.getgid()))
show('lchown', lambda: os.lchown('l', os.getuid(), -1))
show('chown other', lambda: os.chown('f', 12345, -1) if os.getuid() else errno.errorcode[1])
show('utime', lambda: os.utime('f', ns=(5, 7)) or os.stat('f').st_mtime_ns)
show('utime link', lambda: os.utime('l', ns=(11, 13), follow_symlinks=False) or os.lstat('l').st_mtime_ns)
show('futime', lambda: os.utime(os.open('f', os.O_RDONLY), ns=(17, 19)) or os.stat('f').st_mtime_ns)
show('truncate', lambda: os.truncate('f', 3) or mode('f'))
show('truncate directory', lambda: os.truncate('d', 3))
show('truncate missing', lambda: os.truncate('no', 3))
show('access', lambda: [os.access('f', m) for m in (os.F_OK, os.R_OK, os.W_OK, os.X_OK)])
show('access missing', lambda: os.access('no', os.F_OK))
show('access effective', lambda: os.access('f', os.R_OK, effective_ids=True))
show('fifo', lambda: os.mkfifo('p', 0o600) or mode('p'))
show('mknod', lambda: os.mknod('n', 0o644 | stat.S_IFREG) or mode('n'))
show('mknod socket', lambda: os.mknod('s', 0o600 | stat.S_IFSOCK) or mode('s'))
show('open socket', lambda: read('s'))
show('device', lambda: os.mknod('dev', 0o600 | stat.S_IFCHR, os.makedev(1, 3)))
show('fifo nonblocking', lambda: os.open('p', os.O_WRONLY | os.O_NONBLOCK))
show('setxattr', lambda: os.setxattr('f', 'user.a', b'value'))
show('getxattr', lambda: os.getxattr('f', 'user.a'))
show('listxattr', lambda: os.listxattr('f'))
show('getxattr missing', lambda: os.getxattr('f', 'user.b'))
show('long xattr name', lambda: os.getxattr('f', 'user.' + 'a' * 300))
show('removexattr', lambda: os.removexattr('f', 'user.a'))
show('fgetxattr', lambda: os.getxattr(os.open('f', os.O_RDONLY), 'user.a'))
show('scandir', lambda: sorted(e.name for e in os.scandir('.')))
show('statvfs', lambda: os.statvfs('.').f_namemax)
show('tmpfile', lambda: os.fstat(os.open('.', os.O_TMPFILE | os.O_RDWR)).st_nlink)
show('half tmpfile', lambda: os.open('./', (os.O_TMPFILE & ~os.O_DIRECTORY) | os.O_WRONLY))
show('at', lambda: read('f', dir_fd=os.open('.', os.O_RDONLY)))
show('at file', lambda: read('f', dir_fd=os.open('f', os.O_RDONLY)))
show('at bad', lambda: read('f', dir_fd=999))
show('absolute at bad', lambda: read(os.path.abspath('f'), dir_fd=999))
show('empty', lambda: read(''))
show('long', lambda: read('a' * 5000))
show('long component', lambda: read('a' * 300))
show('deep', lambda: read('d/' + '../d/' * 50 + '../f'))
show('dot', lambda: mode('./././d/.'))
show('slashes', lambda: read('.//f'))
show('file slash', lambda: read('f/'))
show('through file', lambda: read('f/x'))
show('up through file', lambda: read('f/../f'))
show('up through missing', lambda: read('no/../f'))
show('self loop', lambda: os.symlink('o', 'o') or read('o'))
show('chain', lambda: [os.symlink('c%d' % (i + 1), 'c%d' % i) for i in range(39)] and write('c39', b'end') and read('c0'))
show('long chain', lambda: [os.symlink('k%d' % (i + 1), 'k%d' % i) for i in range(41)] and write('k41', b'end') and read('k0'))
show('create through link', lambda: os.symlink('made', 'dangling') or write('dangling', b'x') and read('made'))
show('exclusive through link', lambda: os.symlink('no', 'dang2') or write('dang2', b'x', os.O_CREAT | os.O_EXCL | os.O_WRONLY))
show('create slash', lambda: write('newfile/', b'x'))
show('cwd', lambda: os.getcwd() == os.path.realpath('.'))
show('chdir', lambda: os.chdir('d') or os.path.basename(os.getcwd()))
show('up', lambda: read('../f'))
show('deleted cwd', lambda: os.mkdir('../gone') or os.chdir('../gone') or os.rmdir('../gone') or read('x'))
show('back', lambda: os.chdir(sys.argv[1]))
show('own pid', lambda: os.readlink('/proc/self') == str(os.getpid()))
show('own exe', lambda: os.readlink('/proc/self/exe') == os.path.realpath(sys.executable))
show('own cmdline', lambda: b'python' in read('/proc/self/cmdline'))
show('own fd', lambda: os.readlink('/proc/self/fd/%d' % os.open('f', os.O_RDONLY)) == os.path.abspath('f'))
show('reopen', lambda: read('/proc/self/fd/%d' % os.open('f', os.O_RDONLY)))
show('dev fd', lambda: read('/dev/fd/%d' % os.open('f', os.O_RDONLY)))
show('null', lambda: write('/dev/null', b'x', os.O_WRONLY))
show('zero', lambda: read('/dev/zero')[:2])
show('memfd', lambda: os.write(os.memfd_create('m'), b'abc'))
show('pipe', lambda: [os.write(w, b'p') for r, w in [os.pipe()]])
show('lock', lambda: fcntl.flock(os.open('f', os.O_RDONLY), fcntl.LOCK_EX))
show('mmap', lambda: write('mm', b'abc') and mmap.mmap(os.open('mm', os.O_RDWR), 3)[:3])
show('rmdir', lambda: os.rmdir('d2'))
show('rmdir file', lambda: os.rmdir('f'))
show('rmdir full', lambda: os.mkdir('full') or write('full/x', b'') or os.rmdir('full'))
show('rmdir dot', lambda: os.rmdir('full/.'))
show('rmdir dotdot', lambda: os.rmdir('full/..'))
show('unlink directory', lambda: os.unlink('full'))
show('unlink link', lambda: os.unlink('l') or os.path.exists('f'))
show('unlink missing', lambda: os.unlink('l'))
show('unlink slash', lambda: os.unlink('f/'))
show('unlink root', lambda: os.rmdir('/'))
show('no search', lambda: os.mkdir('x', 0) or read('x/f'))
show('no write', lambda: os.mkdir('w', 0o555) or write('w/f', b''))
show('no read', lambda: write('u', b'x', mode=0o200) and read('u'))
show('fork', lambda: os.waitpid(os.fork() or os._exit(3), 0)[1])
show('spawn', lambda: os.spawnv(os.P_WAIT, '/usr/bin/sh', ['sh', '-c', 'exit 5']))
show('exec missing', lambda: os.execv('/usr/bin/no-such', ['x']))
show('exec plain', lambda: os.chmod('f', 0o755) or os.execv('f', ['f']))
show('exec directory', lambda: os.execv('/usr/bin', ['x']))
show('kill', lambda: os.kill(os.getpid(), 0))
def processors():
    # A program that opens file after file may be held on one processor for moments, and must not see it.
    import threading
    def after_opening(look):
        for _ in range(1000):
            os.close(os.open('f', os.O_RDONLY))
        return look()
    def count(pid=0):
        return len(os.sched_getaffinity(pid))
    def of_child():
        r, w = os.pipe()
        if os.fork() == 0:
            os.write(w, bytes([count()]))
            os._exit(0)
        os.wait()
        return os.read(r, 1)[0]
    def of_thread():
        seen = []
        thread = threading.Thread(target=lambda: seen.append(count()))
        thread.start()
        thread.join()
        return seen
    def of_program():
        return os.spawnv(os.P_WAIT, '/usr/bin/sh', ['sh', '-c', 'exit $(nproc)'])
    def told():
        with open('/proc/self/status') as status:
            return [line for line in status if line.startswith('Cpus_allowed:')]
    def chosen():
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(before)})
        kept = after_opening(lambda: os.sched_getaffinity(0) == {max(before)})
        os.sched_setaffinity(0, before)
        return kept
    looks = [count, lambda: count(os.getpid()), of_child, of_thread, of_program, told, chosen, count]
    return [after_opening(look) for look in looks]
show('processors', processors)
def forks():
    # A signal without SA_RESTART that arrives during fork must not make it fail.
    import signal
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.siginterrupt(signal.SIGCHLD, True)
    failed = 0
    for _ in range(400):
        try:
            if os.fork() == 0:
                os._exit(0)
        except InterruptedError:
            failed += 1
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    signal.signal(signal.SIGCHLD, before)
    return failed
show('forks', forks)
def no_number_left():
    # An open that fails because the program has no number left for the descriptor has done nothing.
    import resource
    write('kept', b'8 bytes.')
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open('f', os.O_RDONLY)
    os.close(free)
    told = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, before[1]))
    for name, flags in [
        ('kept', os.O_TRUNC | os.O_WRONLY), ('kept', os.O_TRUNC), ('kept', os.O_TRUNC | os.O_WRONLY | os.O_APPEND),
        ('kept', os.O_TRUNC | os.O_RDWR | os.O_APPEND | os.O_CREAT), ('new', os.O_CREAT | os.O_WRONLY), ('new', os.O_CREAT),
        ('own', os.O_CREAT | os.O_EXCL | os.O_TRUNC | os.O_WRONLY),
    ]:
        try:
            os.open(name, flags)
        except OSError as error:
            told.append(errno.errorcode[error.errno])
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    # Numbers beyond the limit do not count.
    os.dup2(0, free + 7)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, before[1]))
    os.close(os.open('last', os.O_CREAT | os.O_WRONLY))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)
    os.close(free + 7)
    return told, os.stat('kept').st_size, os.path.exists('new'), os.path.exists('own')
show('no number left', no_number_left)
def truncated():
    write('long', b'a' * 1000)
    emptied = write('long', b'b', os.O_TRUNC | os.O_RDWR), read('long')
    before = os.stat('long').st_mtime_ns
    time.sleep(0.02)
    os.close(os.open('long', os.O_TRUNC | os.O_WRONLY))
    return emptied, os.stat('long').st_mtime_ns > before, write('/dev/null', b'x', os.O_TRUNC | os.O_WRONLY)
show('truncated', truncated)
def locks_after_closing():
    # What was closed is not locked any more.
    write('locked', b'')
    kept, held = os.open('locked', os.O_RDONLY), 0
    for _ in range(2000):
        other = os.open('locked', os.O_RDONLY)
        fcntl.flock(other, fcntl.LOCK_EX)
        os.close(other)
        try:
            fcntl.flock(kept, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(kept, fcntl.LOCK_UN)
        except BlockingIOError:
            held += 1
    os.close(kept)
    return held
show('locks after closing', locks_after_closing)
def readers_after_closing():
    # A pipe whose last reader is gone breaks.
    os.mkfifo('pipe')
    taken = 0
    reader = os.open('pipe', os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open('pipe', os.O_WRONLY | os.O_NONBLOCK)
    for _ in range(1000):
        os.close(reader)
        try:
            taken += os.write(writer, b'x')
        except BrokenPipeError:
            pass
        reader = os.open('pipe', os.O_RDONLY | os.O_NONBLOCK)
    os.close(reader)
    os.close(writer)
    return taken
show('readers after closing', readers_after_closing)
show('time', lambda: time.time() > 0)
"#;

const PYTHON: &str = "/usr/bin/python3";

const RULES: &str =
    "(allow file* (subpath \"$W\") (subpath \"/proc\") (subpath \"/dev\"))(allow process-exec (subpath \"$W\"))
(allow file-read* (subpath \"/usr\"))(allow file-read-metadata file-test-existence (subpath \"/\"))(allow signal)
(allow file-write-unlink (literal \"/\"))";

/// For scripts that make calls of which Python has no form, or none with such arguments.
fn raw(script: &str) -> String {
    let numbers = [
        ("execveat", libc::SYS_execveat),
        ("faccessat2", libc::SYS_faccessat2),
        ("fchownat", libc::SYS_fchownat),
        ("linkat", libc::SYS_linkat),
        ("memfd_create", libc::SYS_memfd_create),
        ("newfstatat", libc::SYS_newfstatat),
        ("openat", libc::SYS_openat),
        ("openat2", libc::SYS_openat2),
        ("renameat2", libc::SYS_renameat2),
        ("statx", libc::SYS_statx),
        ("unlinkat", libc::SYS_unlinkat),
        ("utimensat", libc::SYS_utimensat),
    ];
    let numbers: String = numbers.iter().map(|(name, number)| format!("'{name}': {number}, ")).collect();
    format!("NUMBERS = {{{numbers}}}\n{RAW}{script}")
}

const RAW: &str = r#"
import ctypes, errno, fcntl, os, sys
os.chdir(sys.argv[1])
os.umask(0o022)
CWD, KEEP, OWN, FOLLOW = -100, 0x100, 0x1000, 0x400
kernel = ctypes.CDLL(None, use_errno=True)
def call(name, *args):
    args = [ctypes.c_long(arg) if isinstance(arg, int) else arg for arg in args]
    result = kernel.syscall(ctypes.c_long(NUMBERS[name]), *args)
    return errno.errorcode[ctypes.get_errno()] if result < 0 else 'done'
def words(*values):
    return (ctypes.c_uint64 * len(values))(*values)
def make(name, text='x'):
    with open(name, 'w') as file:
        file.write(text)
def each_flag(name, action, highest=31):
    for bit in range(highest):
        print(name, hex(1 << bit), action(1 << bit))
"#;

fn outcome(place: &Place, python: &str, script: &str, rules: Option<&str>) -> Vec<String> {
    place.file("calls.py", script);
    place.directory("inside");
    let (script, inside) = (place.path("calls.py"), place.path("inside"));
    let command = [python, "-I", &script, &inside];
    let text = match rules {
        Some(rules) => {
            let ran = place.run(rules, &command);
            assert_eq!(ran.status, 0, "{ran:#?}");
            ran.stdout
        }
        None => place.plainly(&command),
    };
    text.lines().map(str::to_owned).collect()
}

/// Runs a script that shows at least so many outcomes.
fn has_the_same_outcome_inside_and_outside(script: &str, least: usize) {
    if without_python() {
        return;
    }
    each_user(|place| {
        if place.user == User::Own && rustix::process::geteuid().is_root() {
            // Root inside has no capabilities: compare with the baseline, which gave them up too.
            return;
        }
        let outside = outcome(&Place::new(place.user), PYTHON, script, None);
        let inside = outcome(place, PYTHON, script, Some(RULES));
        assert!(outside.len() >= least, "{outside:#?}");
        let differences: Vec<_> = outside.iter().zip(&inside).filter(|(outside, inside)| outside != inside).collect();
        assert!(differences.is_empty() && outside.len() == inside.len(), "outside, inside: {differences:#?}");
    });
}

/// The outcome of a Python program without a sandbox and with one under rules that allow what it does.
fn both(place: &Place, script: &str, rules: &str) -> (String, String) {
    let outside = Place::new(place.user);
    outside.file("calls.py", script);
    let natively = outside.plainly(&[PYTHON, "-I", &outside.path("calls.py")]);
    place.file("calls.py", script);
    let ran = place.run(&format!("{RULES}{rules}"), &[PYTHON, "-I", &place.path("calls.py")]).good();
    (natively, ran.stdout)
}

fn without_python() -> bool {
    let missing = Command::new(PYTHON).arg("--version").output().is_err();
    if missing {
        skipped(&format!("no {PYTHON} to make the same calls inside and outside"));
    }
    missing
}

#[test]
fn a_limit_on_the_length_of_files_holds_for_truncate() {
    const SCRIPT: &str = r#"
import errno, os, resource, signal
open('f', 'w').write('x' * 5000)
open('r', 'w').write('x')
os.chmod('r', 0o444)
os.mkdir('d')
got = []
def call(name, length):
    try:
        return os.truncate(name, length)
    except OSError as error:
        return errno.errorcode[error.errno]
def show(*calls):
    outcome = [(call(*c), list(got), os.stat(c[0]).st_size if c[0] == 'f' else None) for c in calls]
    print(outcome)
    got.clear()
signal.signal(signal.SIGXFSZ, lambda number, _: got.append(number))
show(('f', 9000), ('f', 5000))
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))
show(('f', 5001), ('f', 5000), ('f', 4000), ('f', 3500), ('f', 3600), ('f', 100), ('f', 3000), ('f', 3001), ('f', -1))
show(('d', 9000), ('no', 9000), ('/dev/null', 9000))
if os.getuid():
    show(('r', 9000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
show(('f', 9000))
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
if os.fork() == 0:
    os.truncate('f', 9000)
    os._exit(3)
status = os.wait()[1]
print(os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXFSZ, os.stat('f').st_size)
"#;
    if without_python() {
        return;
    }
    each_user(|place| {
        let (outside, inside) = both(place, SCRIPT, "");
        assert!(outside.contains("EFBIG"), "{outside}");
        assert_eq!(inside, outside);
    });
}

#[test]
fn capabilities_that_a_program_gave_up_are_not_the_supervisors_to_use() {
    const SCRIPT: &str = r#"
import ctypes, errno, os, socket, struct
def show(name, action):
    try:
        print(name, action())
    except OSError as error:
        print(name, errno.errorcode[error.errno])
def file(name, group=-1):
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o600))
    if group != -1:
        os.chown(name, -1, group)
    return name
def mode(name, done):
    return oct(os.stat(name).st_mode)
def bind(port, host='127.0.0.83'):
    with socket.socket() as s:
        s.bind((host, port))
def all(group):
    show('chown', lambda: os.chown(file('f'), 12345, -1))
    show('lchown', lambda: os.lchown(file('g'), 12345, 12345))
    show('fchown', lambda: os.fchown(os.open(file('h'), os.O_RDONLY), -1, 12345))
    show('own', lambda: os.chown(file('i'), os.getuid(), os.getgid()))
    show('chmod', lambda: mode(group, os.chmod(group, 0o2755)))
    show('bind', lambda: bind(81))
    show('bind any', lambda: bind(0))
    os.unlink('f'), os.unlink('g')
names = [file('g%d' % n, 12345) for n in range(2)]
def bits(name):
    file(name)
    os.chmod(name, 0o6711)
    os.truncate(name, 77)
    return oct(os.stat(name).st_mode)
def emptied(name):
    file(name)
    os.chmod(name, 0o6711)
    os.close(os.open(name, os.O_WRONLY | os.O_TRUNC))
    return oct(os.stat(name).st_mode)
show('truncate', lambda: bits('t0'))
show('emptied', lambda: emptied('e0'))
all(names[0])
c = ctypes.CDLL(None, use_errno=True)
header, none = struct.pack('=Ii', 0x20080522, 0), bytes(24)
show('capset', lambda: c.capset(header, none))
all(names[1])
show('truncate', lambda: bits('t1'))
show('emptied', lambda: emptied('e1'))
"#;
    if without_python() {
        return;
    }
    each_user(|place| {
        if place.user == User::Nobody || !rustix::process::geteuid().is_root() {
            return;
        }
        let (outside, inside) = both(place, SCRIPT, "(allow network*)");
        assert!(outside.contains("chown None") && outside.contains("chown EPERM"), "{outside}");
        assert_eq!(inside, outside);
    });
}

#[test]
fn many_calls_have_the_same_outcome_inside_and_outside() {
    has_the_same_outcome_inside_and_outside(CALLS, 121);
}

#[test]
fn flags_that_a_call_does_not_know_are_errors() {
    let script = r#"
make('f')
os.symlink('f', 'l')
f = os.open('f', os.O_RDONLY)
stat = ctypes.create_string_buffer(512)
def unlink(flags):
    make('u')
    return call('unlinkat', CWD, b'u', flags), os.path.exists('u')
each_flag('unlinkat', unlink)
each_flag('fchownat', lambda flags: call('fchownat', CWD, b'l', -1, os.getgid(), flags))
each_flag('faccessat2', lambda flags: call('faccessat2', CWD, b'f', os.R_OK, flags))
each_flag('faccessat2 missing', lambda flags: call('faccessat2', CWD, b'no', os.R_OK, flags))
each_flag('access mode', lambda mode: call('faccessat2', CWD, b'no', mode, 0))
each_flag('utimensat', lambda flags: call('utimensat', CWD, b'l', 0, flags))
each_flag('utimensat descriptor', lambda flags: call('utimensat', f, 0, 0, flags))
print('utimensat none', call('utimensat', f, 0, 0, 0), call('utimensat', 99, 0, 0, 0), call('utimensat', CWD, 0, 0, 0))
omitted = words(0, (1 << 30) - 2, 0, (1 << 30) - 2)
print('utimensat omitted', call('utimensat', CWD, b'no', omitted, 0), call('utimensat', 99, 0, omitted, 1))
print('utimensat wrong', call('utimensat', CWD, b'f', words(0, 2000000000, 0, 0), 0))
each_flag('newfstatat', lambda flags: call('newfstatat', CWD, b'l', stat, flags))
each_flag('newfstatat missing', lambda flags: call('newfstatat', CWD, b'no', stat, flags))
each_flag('newfstatat own', lambda flags: call('newfstatat', f, b'', stat, flags | OWN))
each_flag('newfstatat named', lambda flags: call('newfstatat', f, b'/usr', stat, flags | OWN))
each_flag('newfstatat bad', lambda flags: call('newfstatat', -5, b'', stat, flags | OWN))
print('newfstatat both', call('newfstatat', CWD, b'f', stat, 0x6000))
each_flag('statx', lambda flags: call('statx', CWD, b'l', flags, 0xfff, stat))
each_flag('statx own', lambda flags: call('statx', f, b'', flags | OWN, 0xfff, stat))
each_flag('statx directory', lambda flags: call('statx', CWD, b'', flags | OWN, 0xfff, stat))
each_flag('statx mask', lambda mask: call('statx', CWD, b'f', 0, mask, stat), 32)
print('statx both', call('statx', CWD, b'f', 0x6000, 0xfff, stat), call('statx', f, b'', 0x6000 | OWN, 0xfff, stat))
print('statx mask own', call('statx', f, b'', OWN, 1 << 31, stat))
each_flag('execveat', lambda flags: call('execveat', CWD, b'f', 0, 0, flags))
each_flag('execveat missing', lambda flags: call('execveat', CWD, b'no', 0, 0, flags))
each_flag('execveat empty', lambda flags: call('execveat', CWD, b'', 0, 0, flags & ~OWN))
each_flag('memfd_create', lambda flags: call('memfd_create', b'm', flags))
print('memfd_create both', call('memfd_create', b'm', 0x18), call('memfd_create', 0, 0x18))
make('from')
each_flag('linkat', lambda flags: call('linkat', CWD, b'no', CWD, b'to', flags))
# RENAME_WHITEOUT is not offered inside.
each_flag('renameat2', lambda flags: flags == 4 or call('renameat2', CWD, b'no', CWD, b'to', flags))
"#;
    has_the_same_outcome_inside_and_outside(&raw(script), 500);
}

#[test]
fn openat2_checks_what_it_is_given() {
    let script = r#"
make('f')
os.mkdir('d')
def how(path, flags, mode=0, size=24, also=None):
    given = words(flags, mode, *[0] * 600)
    if also is not None:
        ctypes.cast(given, ctypes.POINTER(ctypes.c_char))[also] = 1
    return call('openat2', CWD, path, given, size)
each_flag('openat2', lambda flags: how(b'f', flags), 64)
each_flag('openat2 to look', lambda flags: how(b'f', os.O_PATH | flags), 64)
each_flag('openat2 mode', lambda mode: how(b'f', os.O_CREAT, mode), 64)
both = os.O_CREAT | os.O_DIRECTORY
for name in (b'f', b'd', b'no'):
    print('openat2 of', name, how(name, 0, 0o644), how(name, os.O_DIRECTORY, 0o644), how(name, both), call('openat', CWD, name, both, 0o644))
print('openat2 made', how(b'made', os.O_CREAT | os.O_WRONLY, 0o640), oct(os.stat('made').st_mode))
print('openat2 temporary', how(b'd', os.O_TMPFILE | os.O_RDWR, 0o600), how(b'd', os.O_TMPFILE, 0o600), how(b'd', os.O_TMPFILE | os.O_RDWR, 0o10600))
for size in (0, 23, 24, 25, 32, 1000, 4096, 4097, 1 << 40):
    print('openat2 size', size, how(b'f', 0, size=size), how(b'no', 0, size=size))
for size in (24, 25, 32, 4096):
    make('f')
    print('openat2 more', size, [how(b'f', os.O_TRUNC, size=size, also=at) for at in (24, 25, 31, 32, 4095, 4096)], os.stat('f').st_size)
print('openat2 unreadable', call('openat2', CWD, b'f', 8, 24), call('openat2', CWD, b'f', 8, 32))
print(sorted(os.listdir('.')))
"#;
    has_the_same_outcome_inside_and_outside(&raw(script), 210);
}

#[test]
fn a_slash_at_the_end_demands_a_directory() {
    let script = r#"
import itertools, shutil
def fresh():
    for name in os.listdir('.'):
        shutil.rmtree(name) if os.path.isdir(name) and not os.path.islink(name) else os.remove(name)
    make('f')
    make('g', 'other')
    os.mkdir('d')
    os.mkdir('e')
    make('e/in')
    os.symlink('f', 'to-f')
    os.symlink('d', 'to-d')
def left():
    return [(name, os.lstat(name).st_mode >> 12, os.lstat(name).st_nlink) for name in sorted(os.listdir('.'))]
names = ['f', 'd', 'e', 'to-f', 'to-d', 'no']
for source in names + ['f/.', 'd/.']:
    for slash, target, flags in itertools.product(['', '/', '//'], ['new', 'g', 'new/'], [0, FOLLOW]):
        fresh()
        answer = call('linkat', CWD, (source + slash).encode(), CWD, target.encode(), flags)
        print('linkat', source + slash, target, flags, answer, left())
for source, target in itertools.product(names, names + ['g']):
    for of_source, of_target, flags in itertools.product(['', '/'], ['', '/'], [0, 1, 2]):
        fresh()
        answer = call('renameat2', CWD, (source + of_source).encode(), CWD, (target + of_target).encode(), flags)
        print('renameat2', source + of_source, target + of_target, flags, answer, left())
"#;
    has_the_same_outcome_inside_and_outside(&raw(script), 600);
}

#[test]
fn a_slash_at_the_end_of_a_links_text_demands_a_directory() {
    let script = r#"
import itertools
stat = ctypes.create_string_buffer(512)
os.mkdir('d')
make('d/in')
def fresh():
    for name in ('made', 'g'):
        if os.path.lexists(name):
            os.remove(name)
    make('f')
for name, to in (('f', 'f'), ('d', 'd'), ('made', 'made')):
    for end, ending in (('', 'plain'), ('/', 'slash'), ('/.', 'dot'), ('//', 'slashes')):
        os.symlink(to + end, f'{name}-{ending}')
        os.symlink(f'{name}-{ending}', f'{name}-{ending}-on')
        os.symlink(f'{name}-{ending}-on/', f'{name}-{ending}-slash')
os.symlink('..', 'd/up')
os.symlink(os.getcwd() + '/f/', 'whole')
links = sorted(name for name in os.listdir('.') if os.path.islink(name)) + ['d/up', 'd/up/f-slash', 'd/up/d-slash/in']
fresh()
for name in links:
    path = name.encode()
    print(name, 'stat', call('newfstatat', CWD, path, stat, 0), call('newfstatat', CWD, path, stat, KEEP))
    print(name, 'access', call('faccessat2', CWD, path, os.F_OK, 0), call('faccessat2', CWD, path, os.R_OK, KEEP))
    print(name, 'times', call('utimensat', CWD, path, 0, 0), 'exec', call('execveat', CWD, path, 0, 0, 0))
    print(name, 'link', call('linkat', CWD, path, CWD, b'g', FOLLOW))
    for flags in (os.O_RDONLY, os.O_RDWR, os.O_PATH, os.O_DIRECTORY, os.O_NOFOLLOW):
        print(name, 'open', oct(flags), call('openat', CWD, path, flags, 0))
    for flags in itertools.product((os.O_RDONLY, os.O_RDWR), (os.O_CREAT,), (0, os.O_EXCL, os.O_TRUNC, os.O_NOFOLLOW)):
        if name.endswith(('dot', 'dot-on')):
            # EISDIR inside, as for such a path; outside it depends on what is there.
            continue
        fresh()
        print(name, 'create', flags, call('openat', CWD, path, sum(flags), 0o600), os.path.exists('made'))
"#;
    has_the_same_outcome_inside_and_outside(&raw(script), 600);
}

#[test]
fn a_file_without_a_name_gets_one_by_its_descriptor() {
    let script = r#"
def listed():
    names = sorted(name for name in os.listdir('.') if name != 'd')
    return [(name, open(name).read(), oct(os.stat(name).st_mode), os.stat(name).st_nlink) for name in names]
def at(number, form):
    return f'/proc/{form}/fd/{number}'.encode()
os.mkdir('d')
own = str(os.getpid())
forms = ['self', 'thread-self', own]
def temporary(also=0):
    number = os.open('d', os.O_TMPFILE | os.O_RDWR | also, 0o640)
    os.write(number, b'text')
    return number
for form in forms:
    shown = 'own' if form == own else form
    number = temporary()
    print(shown, 'keeping', call('linkat', CWD, at(number, form), CWD, b'to', 0), listed())
    make('there')
    print(shown, 'there', call('linkat', CWD, at(number, form), CWD, b'there', FOLLOW), listed())
    print(shown, 'link', call('linkat', CWD, at(number, form), CWD, b'to', FOLLOW), listed())
    for name, *_ in listed():
        os.remove(name)
    print(shown, 'removed', call('linkat', CWD, at(number, form), CWD, b'to', FOLLOW), listed())
    print(shown, 'exclusive', call('linkat', CWD, at(temporary(os.O_EXCL), form), CWD, b'to', FOLLOW), listed())
    print(shown, 'nowhere', call('linkat', CWD, at(temporary(), form), CWD, b'no/to', FOLLOW), listed())
    print(shown, 'none', call('linkat', CWD, at(99, form), CWD, b'to', FOLLOW), listed())
    make('f')
    number = os.open('f', os.O_RDWR)
    os.remove('f')
    print(shown, 'deleted', call('linkat', CWD, at(number, form), CWD, b'to', FOLLOW), listed())
    os.mkdir('gone')
    number = os.open('gone', os.O_RDONLY)
    os.rmdir('gone')
    print(shown, 'deleted directory', call('linkat', CWD, at(number, form), CWD, b'to', FOLLOW), listed())
number = temporary()
print('descriptor', call('linkat', number, b'', CWD, b'by', OWN), listed())
def child():
    # One's own are the child's from here on.
    number = temporary()
    return call('linkat', CWD, at(number, 'self'), CWD, b'by-child', FOLLOW), listed()
if os.fork() == 0:
    print('child', child(), flush=True)
    os._exit(0)
os.wait()
"#;
    has_the_same_outcome_inside_and_outside(&raw(script), 29);
}

#[test]
fn a_descriptor_has_the_flags_it_was_opened_with() {
    let script = r#"
import itertools
shown = os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | os.O_SYNC | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_NOATIME
def flags(*given):
    if os.path.exists('made'):
        os.remove('made')
    descriptor = os.open('made', sum(given) | os.O_CREAT, 0o600)
    return oct(fcntl.fcntl(descriptor, fcntl.F_GETFL) & shown), fcntl.fcntl(descriptor, fcntl.F_GETFD)
also = (0, os.O_APPEND), (0, os.O_NONBLOCK), (0, os.O_NOFOLLOW), (0, os.O_EXCL), (0, os.O_TRUNC), (0, os.O_NOATIME | os.O_SYNC)
for given in itertools.product((os.O_RDONLY, os.O_WRONLY, os.O_RDWR), *also):
    print('made', [oct(flag) for flag in given], flags(*given))
"#;
    has_the_same_outcome_inside_and_outside(&raw(script), 192);
}
