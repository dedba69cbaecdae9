//! SQLite's way to the disk: its own VFS, with every change asked of the [`Disk`] first.
//!
//! A flush is counted and not carried out: a killed process leaves the kernel's memory of its files behind, and what a
//! power cut would leave is for [`super::images`].
#![expect(unsafe_code, reason = "SQLite knows a disk by a table of functions")]

use std::{
    ffi::{CStr, OsStr, c_char, c_int, c_void},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    ptr,
    sync::{Arc, Once},
};

use rusqlite::ffi;

use super::{Change, Disk, Verdict, disk_of};

/// An open file as SQLite holds it; the file of its own VFS lies right behind it.
#[repr(C)]
struct Shim {
    base: ffi::sqlite3_file,
    /// Null outside of watched folders.
    watched: *mut Watched,
}

struct Watched {
    disk: Arc<Disk>,
    path: PathBuf,
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // Without the functions of version 3: nothing is mapped into memory and changed unseen.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// Makes this the process's default VFS; again does nothing.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the default VFS lives as long as the process; the copy is leaked, so it does too. The functions that
        // are not replaced do not look at which VFS they are called with, except for the length of paths, which is the same.
        unsafe {
            ffi::sqlite3_initialize();
            let own = ffi::sqlite3_vfs_find(ptr::null());
            assert!(!own.is_null(), "SQLite has a VFS");
            let shim = ffi::sqlite3_vfs {
                pNext: ptr::null_mut(),
                zName: c"watched".as_ptr(),
                pAppData: own.cast(),
                szOsFile: (*own).szOsFile + size_of::<Shim>() as c_int,
                xOpen: Some(open),
                xDelete: Some(delete),
                ..*own
            };
            assert_eq!(ffi::sqlite3_vfs_register(Box::into_raw(Box::new(shim)), 1), ffi::SQLITE_OK);
        }
    });
}

fn path_of(name: *const c_char) -> Option<PathBuf> {
    if name.is_null() {
        return None;
    }
    // SAFETY: SQLite hands over a string that ends.
    let name = unsafe { CStr::from_ptr(name) };
    Some(Path::new(OsStr::from_bytes(name.to_bytes())).to_owned())
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    let watched = path_of(name).and_then(|path| Some(Watched { disk: disk_of(&path)?, path }));
    // SAFETY: SQLite gives room for a `Shim` and its own VFS's file behind it, as `szOsFile` asks.
    unsafe { (*file).pMethods = ptr::null() };
    if let Some(Watched { disk, path }) = &watched
        && flags & ffi::SQLITE_OPEN_CREATE != 0
        && !path.exists()
    {
        match disk.meets(path, Change::Create) {
            Verdict::Happens => {}
            Verdict::Full => return ffi::SQLITE_FULL,
            Verdict::Half | Verdict::Dead => return ffi::SQLITE_CANTOPEN,
        }
    }
    // SAFETY: as above; `pAppData` is SQLite's own VFS, and the file it fills lies behind the shim.
    unsafe {
        let own = (*vfs).pAppData.cast::<ffi::sqlite3_vfs>();
        let Some(open) = (*own).xOpen else { return ffi::SQLITE_ERROR };
        let opened = open(own, name, inner(file), flags, out);
        if opened == ffi::SQLITE_OK {
            let shim = file.cast::<Shim>();
            (*shim).watched = watched.map_or(ptr::null_mut(), |watched| Box::into_raw(Box::new(watched)));
            (*file).pMethods = &raw const METHODS;
        }
        opened
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    if let Some(path) = path_of(name).filter(|path| path.exists())
        && let Some(disk) = disk_of(&path)
        && disk.meets(&path, Change::Delete) != Verdict::Happens
    {
        return ffi::SQLITE_IOERR_DELETE;
    }
    // SAFETY: `pAppData` is SQLite's own VFS.
    unsafe {
        let own = (*vfs).pAppData.cast::<ffi::sqlite3_vfs>();
        (*own).xDelete.map_or(ffi::SQLITE_ERROR, |delete| delete(own, name, sync_folder))
    }
}

/// The file of SQLite's own VFS.
///
/// # Safety
/// `file` must be one that SQLite made room for by our `szOsFile`.
unsafe fn inner(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: the room is that of a `Shim` and of the other's file.
    unsafe { file.cast::<Shim>().add(1).cast() }
}

/// What becomes of a change to an open file.
///
/// # Safety
/// `file` must be one that [`open`] has opened.
unsafe fn meets(file: *mut ffi::sqlite3_file, change: Change<'_>) -> Verdict {
    // SAFETY: `open` has set it, and `close` alone takes it back.
    let watched = unsafe { (*file.cast::<Shim>()).watched.as_ref() };
    watched.map_or(Verdict::Happens, |watched| watched.disk.meets(&watched.path, change))
}

/// Calls a function of the file's own VFS.
macro_rules! own {
    ($file:ident . $method:ident ( $($argument:expr),* )) => {{
        // SAFETY: SQLite calls with a file that `open` has opened, and the arguments it would give its own VFS.
        unsafe {
            let own = inner($file);
            (*(*own).pMethods).$method.map_or(ffi::SQLITE_ERROR, |method| method(own, $($argument),*))
        }
    }};
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let closed = own!(file.xClose());
    // SAFETY: `open` made it from a box, and nobody uses the file after this.
    unsafe {
        let shim = file.cast::<Shim>();
        if !(*shim).watched.is_null() {
            drop(Box::from_raw((*shim).watched));
            (*shim).watched = ptr::null_mut();
        }
    }
    closed
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    at: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite gives as many bytes as it says; the file is one that `open` has opened.
    let verdict = unsafe {
        let bytes = std::slice::from_raw_parts(bytes.cast::<u8>(), usize::try_from(length).unwrap_or(0));
        meets(file, Change::Write(at.unsigned_abs(), bytes))
    };
    match verdict {
        Verdict::Happens => own!(file.xWrite(bytes, length, at)),
        Verdict::Full => ffi::SQLITE_FULL,
        Verdict::Half => {
            // Dead either way.
            let _ = own!(file.xWrite(bytes, length / 2, at));
            ffi::SQLITE_IOERR_WRITE
        }
        Verdict::Dead => ffi::SQLITE_IOERR_WRITE,
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite calls with a file that `open` has opened.
    match unsafe { meets(file, Change::Truncate(size.unsigned_abs())) } {
        Verdict::Happens => own!(file.xTruncate(size)),
        _ => ffi::SQLITE_IOERR_TRUNCATE,
    }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: SQLite calls with a file that `open` has opened.
    let (watched, verdict) =
        unsafe { (!(*file.cast::<Shim>()).watched.is_null(), meets(file, Change::Sync)) };
    match verdict {
        Verdict::Happens if watched => ffi::SQLITE_OK,
        Verdict::Happens => own!(file.xSync(flags)),
        _ => ffi::SQLITE_IOERR_FSYNC,
    }
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, delete: c_int) -> c_int {
    // SAFETY: SQLite calls with a file that `open` has opened.
    let dead =
        unsafe { (*file.cast::<Shim>()).watched.as_ref() }.is_some_and(|watched| watched.disk.failed());
    own!(file.xShmUnmap(if dead { 0 } else { delete }))
}

unsafe extern "C" fn shm_barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: SQLite calls with a file that `open` has opened.
    unsafe {
        let own = inner(file);
        if let Some(barrier) = (*(*own).pMethods).xShmBarrier {
            barrier(own);
        }
    }
}

/// Functions that change nothing, as SQLite's own VFS has them.
macro_rules! passed_through {
    ($($name:ident = $method:ident ( $($argument:ident : $type:ty),* );)*) => {$(
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $type)*) -> c_int {
            own!(file.$method($($argument),*))
        }
    )*};
}

passed_through! {
    read = xRead(into: *mut c_void, length: c_int, at: ffi::sqlite3_int64);
    file_size = xFileSize(size: *mut ffi::sqlite3_int64);
    lock = xLock(kind: c_int);
    unlock = xUnlock(kind: c_int);
    check_reserved_lock = xCheckReservedLock(found: *mut c_int);
    file_control = xFileControl(what: c_int, argument: *mut c_void);
    sector_size = xSectorSize();
    device_characteristics = xDeviceCharacteristics();
    shm_map = xShmMap(page: c_int, size: c_int, extend: c_int, at: *mut *mut c_void);
    shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int);
}
