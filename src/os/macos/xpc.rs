//! A connection to a Mach service by XPC (`xpc/connection.h`, `xpc/xpc.h`).

use std::ffi::{CStr, c_char, c_int, c_ulong, c_void};

use super::library::{Absent, Library, function};

/// What came back on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A message.
    Dictionary,
    /// Something that is neither a message nor an error.
    Other,
    /// An error: 1 interrupted, 2 invalid, 3 termination imminent, 4 any other.
    Error(i64),
}

type Object = *mut c_void;
/// `xpc_connection_create_mach_service` of `xpc/connection.h`.
type CreateMachService = unsafe extern "C" fn(*const c_char, *mut c_void, u64) -> Object;
/// `xpc_connection_set_event_handler` of `xpc/connection.h`.
type SetEventHandler = unsafe extern "C" fn(Object, *mut c_void);
/// `xpc_connection_resume` and `xpc_connection_cancel` of `xpc/connection.h`.
type OnConnection = unsafe extern "C" fn(Object);
/// `xpc_dictionary_create` of `xpc/xpc.h`.
type DictionaryCreate = unsafe extern "C" fn(*const *const c_char, *const Object, usize) -> Object;
/// `xpc_connection_send_message_with_reply_sync` of `xpc/connection.h`.
type SendWithReply = unsafe extern "C" fn(Object, Object) -> Object;
/// `xpc_get_type` of `xpc/xpc.h`.
type GetType = unsafe extern "C" fn(Object) -> *const c_void;

/// A block without captures, as the Block Implementation Specification of Clang lays it out.
#[repr(C)]
struct Block {
    isa: *const c_void,
    flags: c_int,
    reserved: c_int,
    invoke: unsafe extern "C" fn(*mut c_void, Object),
    descriptor: *const Descriptor,
}

#[repr(C)]
struct Descriptor {
    reserved: c_ulong,
    size: c_ulong,
}

/// `BLOCK_IS_GLOBAL`: copied by nobody.
const IS_GLOBAL: c_int = 1 << 28;
static DESCRIPTOR: Descriptor = Descriptor { reserved: 0, size: size_of::<Block>() as c_ulong };

/// A connection must have a handler; what it would be told, the answer to the message tells too.
unsafe extern "C" fn ignore(_block: *mut c_void, _event: Object) {}

/// Connects to a service and sends an empty message. Blocks until there is an answer or an error.
///
/// # Errors
/// This system lacks a function.
pub fn ask(service: &CStr) -> Result<Reply, Absent> {
    let xpc = Library::of_process();
    // SAFETY: functions of these names have these types (the headers named above).
    let (create, set_handler, resume, cancel, message, send, get_type) = unsafe {
        (
            function!(xpc, c"xpc_connection_create_mach_service" as CreateMachService),
            function!(xpc, c"xpc_connection_set_event_handler" as SetEventHandler),
            function!(xpc, c"xpc_connection_resume" as OnConnection),
            function!(xpc, c"xpc_connection_cancel" as OnConnection),
            function!(xpc, c"xpc_dictionary_create" as DictionaryCreate),
            function!(xpc, c"xpc_connection_send_message_with_reply_sync" as SendWithReply),
            function!(xpc, c"xpc_get_type" as GetType),
        )
    };
    let object = |name: &CStr| xpc.symbol(name).map(|address| address.as_ptr().cast_const());
    let (dictionary, error) = (object(c"_xpc_type_dictionary")?, object(c"_xpc_type_error")?);
    let errors = [
        object(c"_xpc_error_connection_interrupted")?,
        object(c"_xpc_error_connection_invalid")?,
        object(c"_xpc_error_termination_imminent")?,
    ];
    let isa = object(c"_NSConcreteGlobalBlock")?;
    // Never freed: the connection may call it as long as the process lives.
    let block = Box::leak(Box::new(Block {
        isa,
        flags: IS_GLOBAL,
        reserved: 0,
        invoke: ignore,
        descriptor: &raw const DESCRIPTOR,
    }));
    // SAFETY: the name is a C string; no queue means the system's own.
    let connection = unsafe { create(service.as_ptr(), std::ptr::null_mut(), 0) };
    if connection.is_null() {
        return Err(Absent::Nothing("xpc_connection_create_mach_service"));
    }
    // SAFETY: the connection is new, the block lives for ever and the message is made of nothing.
    let reply = unsafe {
        set_handler(connection, std::ptr::from_mut(block).cast());
        resume(connection);
        let empty = message(std::ptr::null(), std::ptr::null(), 0);
        send(connection, empty)
    };
    // SAFETY: an answer is always an object; errors are objects too.
    let kind = unsafe { get_type(reply) };
    // SAFETY: the connection is this process's own and is not used any more.
    unsafe { cancel(connection) };
    let known = errors.iter().position(|error| *error == reply.cast_const());
    Ok(if kind == dictionary {
        Reply::Dictionary
    } else if kind == error {
        let at = known.unwrap_or(errors.len());
        Reply::Error(i64::try_from(at).map_or(0, |at| at + 1))
    } else {
        Reply::Other
    })
}
