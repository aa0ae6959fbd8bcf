//! The calls of macOS, in-process. What a policy could get in the way of, loading a framework or opening a descriptor, is done
//! before it is entered.
//!
//! The matches over [`Native`] have no wildcard: a driver without a call does not compile.

use std::ffi::CString;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use rustix::process::{Uid, getuid};
use serde_json::{Map, json};

use super::{NotDone, Performed, Setting, details, file, native_result as result};
use crate::os::macos::library::{Absent, Framework, Library};
use crate::os::macos::{self, notify, xpc};
use crate::vocab::Native;
use crate::vocab::native::MetadataCall;

/// The extended attribute that is set.
const ATTRIBUTE: &str = "user.runtime";

/// What was made ready before the policy was entered.
#[derive(Debug, Default)]
pub(in crate::probe) enum Preparation {
    /// Nothing was needed, or nothing was done.
    #[default]
    Nothing,
    /// A framework is loaded.
    Loaded,
    /// A descriptor is open.
    Open(OwnedFd),
    /// Somebody waits for a notification, or could not be made to.
    Registered(Result<notify::Registration, u32>),
    /// Values are known that are to be written again.
    Kept(Box<macos::file::Kept>),
    /// It failed.
    Failed(String),
}

fn framework(native: Native) -> Option<Framework> {
    match native {
        Native::IoKitOpen => Some(Framework::IoKit),
        Native::DistributedPost | Native::PreferenceRead => Some(Framework::CoreFoundation),
        Native::RightObtain => Some(Framework::Security),
        _ => None,
    }
}

pub(super) fn is_prepared(native: Native) -> bool {
    let by_descriptor = match native {
        Native::Metadata(call) => call.takes_descriptor() || matches!(call, MetadataCall::SetAttrList(_)),
        Native::RootRelativeRead | Native::RootRelativeWrite | Native::NotifyPost => true,
        _ => false,
    };
    by_descriptor || framework(native).is_some()
}

pub(super) fn prepare(native: Native, target: &str) -> Preparation {
    let opened = |path: &Path| {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => Preparation::Open(fd),
            Err(errno) => {
                Preparation::Failed(format!("{} cannot be opened before the policy: {errno}", path.display()))
            }
        }
    };
    if let Some(framework) = framework(native) {
        return match Library::load(framework) {
            Ok(_) => Preparation::Loaded,
            Err(absent) => Preparation::Failed(absent.to_string()),
        };
    }
    match native {
        Native::RootRelativeRead | Native::RootRelativeWrite => opened(Path::new("/")),
        Native::Metadata(call) if call.takes_descriptor() => opened(Path::new(target)),
        Native::Metadata(MetadataCall::SetAttrList(attributes)) => {
            match text(target).and_then(|path| Ok(macos::file::keep_attributes(&path, attributes.bits())?)) {
                Ok(kept) => Preparation::Kept(Box::new(kept)),
                Err(_) => Preparation::Failed(format!("the attributes of {target} cannot be read before the policy")),
            }
        }
        Native::NotifyPost => match text(target) {
            Ok(name) => Preparation::Registered(notify::Registration::new(&name)),
            Err(_) => Preparation::Failed("the name holds a NUL byte".to_owned()),
        },
        _ => Preparation::Nothing,
    }
}

/// The target as the system's calls take it.
fn text(target: &str) -> Result<CString, NotDone> {
    CString::new(target).map_err(|_| Errno::INVAL.into())
}

impl From<Absent> for NotDone {
    fn from(absent: Absent) -> Self {
        Self::Unavailable(absent.to_string())
    }
}

/// The descriptor that was opened before the policy.
fn descriptor<'a>(setting: &'a Setting<'_>) -> Result<BorrowedFd<'a>, NotDone> {
    match &setting.prepared {
        Preparation::Open(fd) => Ok(fd.as_fd()),
        Preparation::Failed(why) => Err(NotDone::Unavailable(why.clone())),
        _ => Err(NotDone::Unavailable("nothing was opened before the policy".to_owned())),
    }
}

pub(super) fn perform(native: Native, target: &str, setting: &Setting<'_>) -> Performed {
    if let Preparation::Failed(why) = &setting.prepared {
        return Err(NotDone::Unavailable(why.clone()));
    }
    let path = Path::new(target);
    let named = setting.name_opened;
    match native {
        Native::FileSearch => {
            let searched = macos::file::search(&text(target)?)?;
            Ok(details([("matches", json!(searched.matches)), ("finished", json!(searched.finished))]))
        }
        Native::FileSetXattr => nothing(rustix::fs::setxattr(path, ATTRIBUTE, b"1", XattrFlags::empty())),
        Native::OpenAtRead => {
            let (directory, name) = parted(path)?;
            file::read_at(directory.as_fd(), name, named)
        }
        Native::OpenAtWrite => {
            let (directory, name) = parted(path)?;
            file::write_at(directory.as_fd(), name, named)
        }
        Native::RootRelativeRead => file::read_at(descriptor(setting)?, path, named),
        Native::RootRelativeWrite => file::write_at(descriptor(setting)?, path, named),
        Native::Metadata(call) => metadata(call, target, setting),
        Native::Sysctl => {
            let length = macos::process::read_sysctl(&text(target)?)?;
            Ok(details([("bytes_read", json!(length))]))
        }
        Native::MachLookUp => result::mach(macos::mach::look_up(&text(target)?)),
        Native::MachRegister => result::mach(macos::mach::check_in(&text(target)?)),
        Native::XpcConnect => result::xpc(match xpc::ask(&text(target)?)? {
            xpc::Reply::Dictionary => Ok("dictionary"),
            xpc::Reply::Other => Ok("other"),
            xpc::Reply::Error(number) => Err(number),
        }),
        Native::IoKitOpen => result::iokit_open(macos::iokit::open(&text(target)?)?.result),
        Native::NotifyPost => notification(target, setting),
        Native::DistributedPost => {
            macos::foundation::post_distributed(&text(target)?)?;
            result::distributed_post()
        }
        Native::PreferenceRead => result::preferences(macos::foundation::preference_count(&text(target)?)?),
        Native::PidInfo => {
            let own = || i32::try_from(std::process::id()).ok();
            let pid = if target == "self" { own() } else { target.parse().ok() };
            let bytes = macos::process::pid_info(pid.ok_or(Errno::INVAL)?)?;
            Ok(details([("pid", json!(pid)), ("info_bytes", json!(bytes))]))
        }
        Native::ShmCreate => {
            let removed = macos::process::create_shm(&text(target)?)?;
            Ok(details([("removed", json!(removed.is_ok()))]))
        }
        Native::RightObtain => result::right(macos::authorization::obtain(&text(target)?)?),
    }
}

fn nothing(result: Result<(), Errno>) -> Performed {
    result.map(|()| Map::new()).map_err(NotDone::from)
}

/// The directory of a path, opened, and the path's last component.
fn parted(path: &Path) -> Result<(OwnedFd, &Path), NotDone> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::INVAL.into());
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // A refusal of this is none of the call on the file, which is then never made.
    let directory = rustix::fs::open(parent, flags, Mode::empty()).map_err(|errno| NotDone::Inconclusive {
        why: format!("its directory could not be opened ({errno}), so the file was never asked for"),
        details: details([("directory_errno", json!(errno.raw_os_error()))]),
    })?;
    Ok((directory, Path::new(name)))
}

fn metadata(call: MetadataCall, target: &str, setting: &Setting<'_>) -> Performed {
    const MODE: u16 = 0o600;
    let path = Path::new(target);
    // To the owner that files of this process have anyway, and no other group.
    let owner: Option<Uid> = Some(getuid());
    nothing(match call {
        MetadataCall::GetAttrList(attributes) => {
            let bytes = macos::file::get_attributes(&text(target)?, attributes.bits())?;
            return Ok(details([("attribute_bytes", json!(bytes))]));
        }
        MetadataCall::SetAttrList(_) => match &setting.prepared {
            Preparation::Kept(kept) => macos::file::set_attributes(&text(target)?, kept),
            _ => return Err(NotDone::Unavailable("no attributes were read before the policy".to_owned())),
        },
        MetadataCall::Fstat => rustix::fs::fstat(descriptor(setting)?).map(drop),
        MetadataCall::Chmod => rustix::fs::chmod(path, Mode::from(MODE)),
        MetadataCall::Fchmod => rustix::fs::fchmod(descriptor(setting)?, Mode::from(MODE)),
        MetadataCall::Utimes => macos::file::utimes(&text(target)?),
        MetadataCall::Futimes => macos::file::futimes(descriptor(setting)?),
        MetadataCall::Lutimes => macos::file::lutimes(&text(target)?),
        MetadataCall::Lchown => rustix::fs::chownat(CWD, path, owner, None, AtFlags::SYMLINK_NOFOLLOW),
        MetadataCall::Fchown => rustix::fs::fchown(descriptor(setting)?, owner, None),
        MetadataCall::FchownAt => rustix::fs::chownat(CWD, path, owner, None, AtFlags::empty()),
    })
}

/// Posts, and looks whether it arrives with whoever was registered before.
fn notification(name: &str, setting: &Setting<'_>) -> Performed {
    let registered = match &setting.prepared {
        Preparation::Registered(registered) => *registered,
        _ => return Err(NotDone::Unavailable("nobody was registered before the policy".to_owned())),
    };
    result::notification(notify::post(&text(name)?), || registered.and_then(notify::Registration::arrives))
}
