//! `tickmesh unit`: what systemd needs to run a server, as text. Installs nothing.

use std::path::Path;

use anyhow::{Context, Result};

use crate::app::cli::{UnitOptions, UnitPart};
use crate::app::terminal;

/// Prints a unit.
pub(super) fn run(options: &UnitOptions) -> Result<bool> {
    let text = match options.part {
        UnitPart::Service => {
            let program = std::env::current_exe().context("cannot tell where this program is")?;
            service(&program, options.config.as_deref())
        }
        UnitPart::Socket => socket("mesh", "127.0.0.1:5555"),
        UnitPart::UploadSocket => socket("upload", "127.0.0.1:12000"),
    };
    terminal::print(&text)?;
    Ok(true)
}

fn service(program: &Path, config: Option<&Path>) -> String {
    let mut notes = String::new();
    if is_hidden(program) {
        notes += "# The service cannot see the program there: copy it to /usr/local/bin, say, and change the next line.\n";
    }
    if config.is_some_and(is_hidden) {
        notes += "# The service cannot see its configuration there: copy it to /etc, say, and change the next line.\n";
    }
    let config = config.map(|path| format!(" --config {}", path.display())).unwrap_or_default();
    let program = program.display().to_string().replace('%', "%%");
    format!(
        "\
# /etc/systemd/system/tickmesh.service
[Unit]
Description=tickmesh server
After=network-online.target tickmesh.socket tickmesh-upload.socket
# If there are socket units, their sockets are opened first: without them the service opens ports of its own.
Wants=network-online.target tickmesh.socket tickmesh-upload.socket
# What keeps it from starting may take longer to go than a few tries.
StartLimitIntervalSec=0

[Service]
{notes}ExecStart=\"{program}\" server{config}
ExecReload=kill -HUP $MAINPID
EnvironmentFile=-/etc/default/tickmesh
Type=notify
WatchdogSec=30s
Restart=on-failure
RestartSec=1s
# A wrong flag or configuration does not get better.
RestartPreventExitStatus=2
TimeoutStopSec=30s

# useradd --system --no-create-home tickmesh
User=tickmesh
# Tables in /var/lib/tickmesh/out, accounts in /var/lib/tickmesh, if nothing else is said.
StateDirectory=tickmesh
StateDirectoryMode=0750
WorkingDirectory=%S/tickmesh
Environment=XDG_STATE_HOME=%S
# For log_file; without it the log goes to the journal.
LogsDirectory=tickmesh
LogsDirectoryMode=0750
UMask=0027

CapabilityBoundingSet=
DevicePolicy=closed
KeyringMode=private
LockPersonality=yes
MemoryDenyWriteExecute=yes
NoNewPrivileges=yes
PrivateDevices=yes
PrivateTmp=yes
PrivateUsers=yes
ProcSubset=pid
ProtectClock=yes
ProtectControlGroups=yes
ProtectHome=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProtectSystem=strict
RemoveIPC=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged

[Install]
WantedBy=multi-user.target
"
    )
}

/// The sandbox of the unit shows nothing that is there.
fn is_hidden(path: &Path) -> bool {
    ["/home", "/root", "/tmp", "/run/user", "/var/tmp"].iter().any(|folder| path.starts_with(folder))
}

fn socket(name: &str, addr: &str) -> String {
    let (file, words) = match name {
        "mesh" => ("tickmesh", "peers and people"),
        _ => ("tickmesh-upload", "uploads; the service needs upload_listen as well"),
    };
    format!(
        "\
# /etc/systemd/system/{file}.socket
[Unit]
Description=tickmesh, the port for {words}

[Socket]
ListenStream={addr}
# The host may get that address later than this.
FreeBind=yes
# What the program knows it by.
FileDescriptorName={name}
Service=tickmesh.service

[Install]
WantedBy=sockets.target
"
    )
}
