//! The settings of Cyrus: everything in one folder, passwords in a file, services on loopback.

/// The folders that Cyrus does not make itself.
pub(crate) const FOLDERS: [&str; 14] = [
    "conf/backup",
    "conf/db",
    "conf/log",
    "conf/msg",
    "conf/proc",
    "conf/ptclient",
    "conf/quota",
    "conf/sieve",
    "conf/socket",
    "log",
    "search",
    "sieve",
    "sock",
    "spool",
];

/// imapd.conf(5): the settings of all its programs.
pub(crate) fn imapd(folder: &str, smtp_port: u16) -> String {
    format!(
        "configdirectory: {folder}/conf
defaultpartition: default
partition-default: {folder}/spool
sievedir: {folder}/sieve
idlesocket: {folder}/sock/idle
notifysocket: {folder}/sock/notify
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
sasl_sasldb_path: {folder}/passwords
sasl_mech_list: PLAIN LOGIN
allowplaintext: yes
tls_server_cert: disabled
servername: localhost
defaultdomain: localhost
virtdomains: off
altnamespace: yes
unixhierarchysep: yes
httpmodules: jmap caldav
conversations: yes
search_engine: xapian
defaultsearchtier: first
firstsearchpartition-default: {folder}/search
search_fuzzy_always: yes
sync_log: yes
sync_log_channels: squatter
autocreate_quota: 0
autocreate_post: yes
autocreate_inbox_folders: Archive|Drafts|Sent|Spam|Trash
autocreate_subscribe_folders: Archive|Drafts|Sent|Spam|Trash
xlist-archive: Archive
xlist-drafts: Drafts
xlist-sent: Sent
xlist-junk: Spam
xlist-trash: Trash
smtp_backend: host
smtp_host: 127.0.0.1:{smtp_port}
"
    )
}

/// cyrus.conf(5): the programs that it starts.
pub(crate) fn master(folder: &str, http_port: u16, imap_port: u16) -> String {
    let program = |name: &str| format!("/usr/lib/cyrus/bin/{name} -C {folder}/imapd.conf");
    format!(
        r#"START {{
  recover cmd="{} -r"
  idled cmd="{}"
}}
SERVICES {{
  http cmd="{}" listen="127.0.0.1:{http_port}" prefork=1
  imap cmd="{}" listen="127.0.0.1:{imap_port}" prefork=0
}}
DAEMON {{
  squatter cmd="{} -R -d -n squatter"
}}
EVENTS {{
  checkpoint cmd="{} -c" period=30
}}
"#,
        program("ctl_cyrusdb"),
        program("idled"),
        program("httpd"),
        program("imapd"),
        program("squatter"),
        program("ctl_cyrusdb"),
    )
}
