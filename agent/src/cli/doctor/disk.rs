//! The disk under the state folder: room, whether it can be written, what its file system has met, and what the agent writes on it.

use std::fs;
use std::path::{Path, PathBuf};

use spoolway_protocol::Fault;

use super::report::Step;
use super::sources::{number, text, under};
use crate::view::{StorageView, WrittenView};

/// Beyond job files an agent that prints day and night writes some tens of MB a day; this is more than it has reason for.
const MUCH_MB_A_DAY: f64 = 300.0;

/// A mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    kind: String,
    /// Major and minor number of the device (`179:2`).
    device: String,
    is_read_only: bool,
}

/// What there is of a disk.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    folder: PathBuf,
    /// Free for the agent, in bytes.
    free_bytes: Option<u64>,
    /// What job files leave free, in bytes.
    reserve_bytes: u64,
    mount: Option<Mount>,
    /// The kernel's name of the device (`mmcblk0p2`).
    name: Option<String>,
    /// What the file system counts as its errors.
    errors: Option<u64>,
}

/// Looks at the disk of a folder, or of the folder above it that is there.
pub(super) fn look(root: &Path, folder: &Path, reserve_bytes: u64) -> Disk {
    let there = folder.ancestors().find(|folder| under(root, folder).exists()).unwrap_or(Path::new("/"));
    let mounts = text(&root.join("proc/self/mountinfo")).unwrap_or_default();
    let mount = mount_of(&mounts, there);
    let name = mount.as_ref().and_then(|mount| {
        let link = fs::read_link(root.join("sys/dev/block").join(&mount.device)).ok()?;
        Some(link.file_name()?.to_str()?.to_owned())
    });
    let errors = mount.as_ref().zip(name.as_ref()).and_then(|(mount, name)| {
        number(&root.join("sys/fs").join(&mount.kind).join(name).join("errors_count"))
    });
    let room = rustix::fs::statvfs(under(root, there)).ok();
    Disk {
        folder: folder.to_owned(),
        free_bytes: room.map(|room| room.f_bavail.saturating_mul(room.f_frsize)),
        reserve_bytes,
        mount,
        name,
        errors,
    }
}

/// The file system of a folder, by proc_pid_mountinfo(5): the deepest above it, and of several at one place the last.
fn mount_of(mounts: &str, folder: &Path) -> Option<Mount> {
    let read = |line: &str| -> Option<(PathBuf, Mount)> {
        let (place, file_system) = line.split_once(" - ")?;
        let fields: Vec<&str> = place.split(' ').collect();
        let mut kinds = file_system.split(' ');
        let (kind, options) = (kinds.next()?, kinds.nth(1).unwrap_or_default());
        let is_read_only = |options: &str| options.split(',').any(|option| option == "ro");
        let point = PathBuf::from(fields.get(4)?.replace("\\040", " "));
        let is_read_only = is_read_only(fields.get(5)?) || is_read_only(options);
        Some((point, Mount { kind: kind.to_owned(), device: (*fields.get(2)?).to_owned(), is_read_only }))
    };
    let above = mounts.lines().filter_map(read).filter(|(point, _)| folder.starts_with(point));
    above.max_by_key(|(point, _)| point.components().count()).map(|(_, mount)| mount)
}

/// Whether there is room, and whether it can be written.
pub(super) fn room(disk: &Disk, storage: Option<&StorageView>) -> Step {
    let folder = disk.folder.display();
    if disk.mount.as_ref().is_some_and(|mount| mount.is_read_only) {
        let text = format!("{folder} lies on a file system that is read-only");
        let help = "A kernel makes it so when it finds an error: read `sudo dmesg | grep -i -e error -e remount`, copy what matters, have it checked at the next start, and replace the card. An overlay that somebody has set up is switched off with raspi-config.";
        return Step::failed("disk", Fault::DiskFull, text).with_help(help);
    }
    if let Some(fault) = storage.and_then(|storage| storage.fault.as_ref()) {
        return Step::of_fault("disk", fault);
    }
    let Some(free_bytes) = disk.free_bytes else {
        return Step::skipped("disk", format!("the system does not say how much is free at {folder}"));
    };
    let text = format!("{} MB are free at {folder}", free_bytes / 1_000_000);
    let reserve = format!("job files leave {} MB free", disk.reserve_bytes / 1_000_000);
    if free_bytes < disk.reserve_bytes {
        let text = format!("{text}, and {reserve}: none is taken");
        return Step::failed("disk", Fault::DiskFull, text);
    }
    if free_bytes < disk.reserve_bytes.saturating_mul(2) {
        let help = "Remove what fills it (`sudo du -xh --max-depth=2 / | sort -h | tail`), or lower spool.max_bytes.";
        return Step::warning("disk", format!("{text}; {reserve}"), help);
    }
    Step::ok("disk", text)
}

/// What the file system has met.
pub(super) fn file_system(disk: &Disk) -> Step {
    let Some(mount) = &disk.mount else {
        return Step::skipped("filesystem", "the system does not say which it is");
    };
    let name = disk.name.as_deref().unwrap_or("no device");
    match disk.errors {
        Some(0) => Step::ok("filesystem", format!("{} on {name}, without an error", mount.kind)),
        Some(errors) => Step::warning(
            "filesystem",
            format!("{} on {name} has met {errors} errors", mount.kind),
            "Copy what matters, have it checked at the next start (`fsck.mode=force` in the kernel's command line), and replace a card that goes on with it.",
        ),
        None => Step::skipped("filesystem", format!("{} on {name} does not count errors", mount.kind)),
    }
}

/// What the agent writes in a day, by its own count.
pub(super) fn writes(storage: Option<&StorageView>) -> Step {
    let Some(storage) = storage else {
        return Step::skipped("writes", "only an agent that runs counts them");
    };
    let Some(WrittenView { mb_a_day, .. }) = storage.written else {
        return Step::skipped("writes", "the kernel does not count them");
    };
    match mb_a_day {
        None => Step::ok("writes", "a figure is there ten minutes after the agent's start"),
        Some(mb) if mb > MUCH_MB_A_DAY => Step::warning(
            "writes",
            format!("{mb:.0} MB a day beyond job files, which wears a card out"),
            "Look at the log for what is said again and again (`journalctl -u spoolway-agent`), and set log.level back to info.",
        ),
        Some(mb) => Step::ok("writes", format!("{mb:.0} MB a day beyond job files")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::super::sources::tests::Tree;
    use super::*;
    use crate::view::{AreaView, FaultView};

    const CARD: &str = "1 0 179:2 / / rw,noatime shared:1 - ext4 /dev/root rw";

    fn disk(mounts: &str, folder: &str) -> (Tree, Disk) {
        let tree = Tree::new();
        tree.file("proc/self/mountinfo", mounts);
        tree.file("var/lib/spoolway/x", "");
        tree.link("sys/dev/block/179:2", "../../devices/platform/mmc0/block/mmcblk0/mmcblk0p2");
        tree.file("sys/fs/ext4/mmcblk0p2/errors_count", "0\n");
        let found = look(tree.root(), Path::new(folder), 1);
        (tree, found)
    }

    fn storage(fault: Option<Fault>, written: Option<Option<f64>>) -> StorageView {
        let area = AreaView { used_bytes: 0, max_bytes: None };
        StorageView {
            free_bytes: 0,
            reserve_bytes: 0,
            files: area,
            database: area,
            kept: area,
            written: written.map(|mb_a_day| WrittenView { bytes: 0, files_bytes: 0, mb_a_day }),
            fault: fault.map(|fault| FaultView::new(fault, "the database cannot be written")),
        }
    }

    #[test]
    fn the_file_system_of_a_folder_is_the_deepest_above_it_and_the_last_there() {
        let mounts = format!(
            "{CARD}\n2 1 8:1 / /var/lib ro - xfs /dev/sda1 rw\n3 1 0:9 / /var\\040x rw - tmpfs tmpfs rw\n\
             4 2 8:2 / /var/lib rw - btrfs /dev/sda2 rw\nbroken\n5 1 0:8 / /var/lib/spoolway-other ro - tmpfs x ro"
        );
        let of = |folder| mount_of(&mounts, Path::new(folder)).unwrap();
        assert_eq!(of("/var/lib/spoolway").kind, "btrfs");
        assert_eq!(of("/srv"), Mount { kind: "ext4".into(), device: "179:2".into(), is_read_only: false });
        assert_eq!(of("/var x/y").kind, "tmpfs");
        assert_eq!(mount_of("", Path::new("/")), None);
    }

    #[test]
    fn a_disk_with_room_is_told_with_its_file_system() {
        let (_tree, found) = disk(CARD, "/var/lib/spoolway");
        let (room, files) = (room(&found, None), file_system(&found));
        assert_eq!((room.verdict, files.verdict), (Verdict::Ok, Verdict::Ok), "{room:?} {files:?}");
        assert!(room.text.ends_with("MB are free at /var/lib/spoolway"), "{room:?}");
        assert_eq!(files.text, "ext4 on mmcblk0p2, without an error");
        // A folder that the agent has yet to make.
        let (_tree, found) = disk(CARD, "/var/lib/other/state");
        assert!(found.free_bytes.is_some() && found.mount.is_some());
    }

    #[test]
    fn a_disk_without_room_or_that_cannot_be_written_fails() {
        let (_tree, full) = disk(CARD, "/var/lib/spoolway");
        let with = |free: u64, reserve_bytes| Disk { free_bytes: Some(free), reserve_bytes, ..full.clone() };
        let step = room(&with(99_000_000, 100_000_000), None);
        assert_eq!((step.verdict, step.code.as_deref()), (Verdict::Failed, Some("disk.full")));
        assert!(step.text.starts_with("99 MB are free") && step.text.contains("100 MB"), "{step:?}");
        let step = room(&with(199_000_000, 100_000_000), None);
        assert_eq!(step.verdict, Verdict::Warning, "{step:?}");
        for mounts in [CARD.replace("rw,noatime", "ro"), CARD.replace("/dev/root rw", "/dev/root ro")] {
            let (_tree, found) = disk(&mounts, "/var/lib/spoolway");
            let step = room(&found, None);
            assert_eq!((step.verdict, step.code.as_deref()), (Verdict::Failed, Some("disk.full")));
            assert!(step.text.contains("read-only") && step.help.unwrap().contains("dmesg"));
        }
        // What the agent itself has met goes before what is free.
        let step = room(&with(u64::MAX, 1), Some(&storage(Some(Fault::StoreCorrupt), None)));
        assert_eq!((step.verdict, step.code.as_deref()), (Verdict::Failed, Some("store.corrupt")));
        let unknown = Disk { free_bytes: None, ..full };
        assert_eq!(room(&unknown, None).verdict, Verdict::Skipped);
    }

    #[test]
    fn errors_of_the_file_system_are_told() {
        let (tree, _) = disk(CARD, "/");
        tree.file("sys/fs/ext4/mmcblk0p2/errors_count", "4\n");
        let step = file_system(&look(tree.root(), Path::new("/"), 1));
        assert_eq!(step.verdict, Verdict::Warning, "{step:?}");
        assert!(step.text.contains("has met 4 errors"), "{step:?}");
        let (_tree, silent) = disk(&CARD.replace("ext4", "f2fs"), "/");
        assert_eq!(file_system(&silent).verdict, Verdict::Skipped);
        let (_tree, unknown) = disk("", "/");
        assert_eq!(file_system(&unknown).verdict, Verdict::Skipped);
    }

    #[test]
    fn what_the_agent_writes_is_told_and_too_much_is_a_warning() {
        for (written, verdict, part) in [
            (Some(Some(34.4)), Verdict::Ok, "34 MB a day"),
            (Some(Some(301.0)), Verdict::Warning, "wears a card out"),
            (Some(None), Verdict::Ok, "ten minutes"),
            (None, Verdict::Skipped, "does not count"),
        ] {
            let step = writes(Some(&storage(None, written)));
            assert_eq!((step.verdict, step.text.contains(part)), (verdict, true), "{step:?}");
        }
        assert_eq!(writes(None).verdict, Verdict::Skipped);
    }
}
