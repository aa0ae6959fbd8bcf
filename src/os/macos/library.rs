//! Libraries and symbols that need not be there (dlopen(3), dlsym(3)).

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

/// Something that this system does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Absent {
    /// A library.
    #[error("{path} cannot be loaded: {why}")]
    Library {
        /// Its path.
        path: String,
        /// dlerror(3).
        why: String,
    },
    /// A function or an object of a library.
    #[error("{0} is not exported by this system")]
    Symbol(String),
    /// An interface that is there and gave nothing to work with.
    #[error("{0} gave nothing")]
    Nothing(&'static str),
}

/// A framework that is no part of libSystem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framework {
    /// CoreFoundation.
    CoreFoundation,
    /// IOKit.
    IoKit,
    /// Security.
    Security,
}

/// A library that stays loaded as long as the process lives.
#[derive(Debug, Clone, Copy)]
pub struct Library(*mut c_void);

/// Where a framework's binary is.
fn path_of(framework: Framework) -> &'static CStr {
    match framework {
        Framework::CoreFoundation => c"/System/Library/Frameworks/CoreFoundation.framework/CoreFoundation",
        Framework::IoKit => c"/System/Library/Frameworks/IOKit.framework/IOKit",
        Framework::Security => c"/System/Library/Frameworks/Security.framework/Security",
    }
}

impl Library {
    /// Loads a framework.
    ///
    /// # Errors
    /// This system has none of that name.
    pub fn load(framework: Framework) -> Result<Self, Absent> {
        Self::open(path_of(framework), libc::RTLD_LAZY | libc::RTLD_LOCAL)
    }

    /// A framework that was loaded before; loads nothing.
    ///
    /// # Errors
    /// It was not loaded.
    pub fn loaded(framework: Framework) -> Result<Self, Absent> {
        Self::open(path_of(framework), libc::RTLD_LAZY | libc::RTLD_LOCAL | libc::RTLD_NOLOAD)
    }

    /// Everything that the process was started with.
    #[must_use]
    pub fn of_process() -> Self {
        Self(libc::RTLD_DEFAULT)
    }

    fn open(path: &CStr, mode: i32) -> Result<Self, Absent> {
        // SAFETY: the path is a C string of a library of the system.
        let handle = unsafe { libc::dlopen(path.as_ptr(), mode) };
        if handle.is_null() {
            // SAFETY: takes nothing; the text is this thread's until the next call.
            let text = unsafe { libc::dlerror() };
            let why = match text.is_null() {
                true => "no reason given".to_owned(),
                // SAFETY: a text that is not null is a C string.
                false => unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned(),
            };
            return Err(Absent::Library { path: path.to_string_lossy().into_owned(), why });
        }
        Ok(Self(handle))
    }

    /// Where a function or an object is.
    ///
    /// # Errors
    /// The library has none of that name.
    pub fn symbol(self, name: &CStr) -> Result<NonNull<c_void>, Absent> {
        // SAFETY: the handle is that of a library that stays loaded, the name a C string.
        let found = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        NonNull::new(found).ok_or_else(|| Absent::Symbol(name.to_string_lossy().into_owned()))
    }
}

/// Reads a symbol as a function of the given type. To be used in an `unsafe` block whose reason names the header.
macro_rules! function {
    ($library:expr, $name:literal as $kind:ty) => {
        std::mem::transmute::<*mut std::ffi::c_void, $kind>($library.symbol($name)?.as_ptr())
    };
}
pub(super) use function;
