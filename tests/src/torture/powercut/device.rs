//! A disk whose every write is logged: an image behind qemu-storage-daemon, FUSE and a loop device, with ext4 on it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use super::log::WriteLog;

/// Small, so that a cut is quickly made; the file system's journal takes 4 MiB of it.
pub(super) const DEVICE_BYTES: u64 = 48 << 20;
/// Sparse; what a recording fills is a small part of it.
const LOG_BYTES: u64 = 4 << 30;
/// Programs that are needed, and the Debian package of each.
const TOOLS: [(&str, &str); 5] = [
    ("qemu-storage-daemon", "qemu-system-common (Debian 12) or qemu-utils"),
    ("losetup", "mount"),
    ("mount", "mount"),
    ("umount", "mount"),
    ("mkfs.ext4", "e2fsprogs"),
];
/// How long the export may take to appear, a mount to become free, a daemon to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Says what is missing.
///
/// # Errors
/// Power cuts cannot be made on this machine as this user.
pub(super) fn check() -> anyhow::Result<()> {
    let is_root = rustix::process::geteuid().is_root();
    ensure!(is_root, "power cuts need root, for loop devices and mounts; nothing else here does");
    for device in ["/dev/fuse", "/dev/loop-control"] {
        ensure!(Path::new(device).exists(), "{device} is not there; the kernel needs FUSE and loop devices");
    }
    for (tool, package) in TOOLS {
        let found = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        ensure!(found.is_ok(), "{tool} is missing; on Debian it is in the package {package}");
    }
    Ok(())
}

/// A file system that is mounted from an image.
#[derive(Debug)]
pub(super) struct Mounted {
    pub(super) dir: PathBuf,
    device: PathBuf,
}

impl Mounted {
    /// Mounts an image; `format` makes an empty file system first.
    pub(super) fn new(image: &Path, dir: &Path, format: bool) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)?;
        let device = run("losetup", [OsStr::new("--find"), OsStr::new("--show"), image.as_os_str()])?;
        // From here on the device is given back whatever happens.
        let mounted = Self { dir: dir.to_owned(), device: device.trim().into() };
        if format {
            // The superblock has two sectors, of which one may land without the other: with a checksum it then does not
            // mount, which would say nothing of the storage above.
            let options = ["-q", "-F", "-b", "4096", "-O", "^metadata_csum"].map(OsStr::new);
            run("mkfs.ext4", options.into_iter().chain([mounted.device.as_os_str()]))?;
        }
        run("mount", [OsStr::new("-t"), OsStr::new("ext4"), mounted.device.as_os_str(), dir.as_os_str()])?;
        Ok(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let began = Instant::now();
        // A thread that still closes its files keeps it busy for a moment.
        while run("umount", [&self.dir]).is_err() && began.elapsed() < PATIENCE && is_mounted(&self.dir) {
            sleep(Duration::from_millis(20));
        }
        if let Err(error) = run("losetup", [OsStr::new("--detach"), self.device.as_os_str()]) {
            eprintln!("power cut: {error:#}");
        }
    }
}

fn is_mounted(dir: &Path) -> bool {
    let above = dir.parent().and_then(|above| fs::metadata(above).ok());
    let here = fs::metadata(dir).ok();
    above.zip(here).is_some_and(|(above, here)| above.dev() != here.dev())
}

/// A device that is being written to, and logged.
#[derive(Debug)]
pub(super) struct Recorder {
    // Before the daemon, which it is dropped before.
    mounted: Option<Mounted>,
    daemon: Child,
    log: PathBuf,
}

impl Recorder {
    /// Begins with an image, or with an empty file system.
    pub(super) fn start(folder: &Path, base: Option<&[u8]>) -> anyhow::Result<Self> {
        let [disk, log, export] = ["disk.img", "log.img", "export.img"].map(|name| folder.join(name));
        match base {
            Some(image) => fs::write(&disk, image)?,
            None => File::create(&disk)?.set_len(DEVICE_BYTES)?,
        }
        File::create(&log)?.set_len(LOG_BYTES)?;
        File::create(&export)?;
        // The daemon's own syncs of its files would only cost time: what counts is what the log says.
        let file = |node: &str, path: &Path| {
            format!("driver=file,cache.no-flush=on,filename={},node-name={node}", path.display())
        };
        let daemon = Command::new("qemu-storage-daemon")
            .args(["--blockdev", &file("disk", &disk), "--blockdev", &file("log", &log)])
            .args(["--blockdev", "driver=blklogwrites,file=disk,log=log,node-name=logged", "--export"])
            .arg(format!("type=fuse,id=e,node-name=logged,writable=on,mountpoint={}", export.display()))
            .stdin(Stdio::null())
            .spawn()?;
        let mut recorder = Self { mounted: None, daemon, log };
        let began = Instant::now();
        while fs::metadata(&export)?.len() != DEVICE_BYTES {
            ensure!(began.elapsed() < PATIENCE, "the exported device does not appear");
            if let Some(ended) = recorder.daemon.try_wait()? {
                bail!("qemu-storage-daemon ended: {ended}");
            }
            sleep(Duration::from_millis(20));
        }
        recorder.mounted = Some(Mounted::new(&export, &folder.join("live"), base.is_none())?);
        Ok(recorder)
    }

    /// Where the file system is.
    pub(super) fn dir(&self) -> &Path {
        &self.mounted.as_ref().expect("it is mounted until it is finished").dir
    }

    /// About where the log ends, in bytes: never before its last entry, and less than [`SLACK_BYTES`] behind it.
    pub(super) fn log_end(&self) -> anyhow::Result<u64> {
        Ok(fs::metadata(&self.log)?.blocks() * 512)
    }

    /// Unmounts, and gives the log.
    pub(super) fn finish(mut self) -> anyhow::Result<WriteLog> {
        self.mounted = None;
        self.end_daemon()?;
        WriteLog::open(&self.log)
    }

    fn end_daemon(&mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.daemon);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let began = Instant::now();
        while self.daemon.try_wait()?.is_none() {
            ensure!(began.elapsed() < PATIENCE, "qemu-storage-daemon does not end");
            sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.mounted = None;
        if matches!(self.daemon.try_wait(), Ok(None))
            && let Err(error) = self.end_daemon()
        {
            eprintln!("power cut: {error:#}");
        }
    }
}

/// A file's blocks are counted in whole pages.
pub(super) const SLACK_BYTES: u64 = 8192;

/// Runs a tool, and gives what it prints.
fn run(tool: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> anyhow::Result<String> {
    let done = Command::new(tool).args(arguments).stdin(Stdio::null()).output().context(tool.to_owned())?;
    ensure!(done.status.success(), "{tool}: {}", String::from_utf8_lossy(&done.stderr).trim());
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
