//! A server that proves its identity.

use std::process::{Command, Output};
use std::sync::Arc;

use rcgen::CertifiedKey;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::places::{Place, said, wait};

/// PostgreSQL's protocol, `SSLRequest`: its length and its code.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Terminates TLS in front of a server that has none, for one client at a time. Returns its port.
async fn terminate_tls(identity: CertifiedKey<rcgen::KeyPair>, server: String) -> u16 {
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der()).into();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![identity.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut request = [0; SSL_REQUEST.len()];
            client.read_exact(&mut request).await.unwrap();
            assert_eq!(request, SSL_REQUEST);
            client.write_all(b"S").await.unwrap();
            // A client that does not trust the certificate disconnects.
            if let Ok(mut client) = acceptor.accept(client).await {
                let mut server = TcpStream::connect(&server).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        }
    });
    port
}

#[test]
fn a_server_is_believed_if_this_machine_trusts_its_certificate() {
    let Some(Place::Postgres(plain, _database)) = Place::postgres() else { return };
    let [server, stranger] = [(), ()].map(|()| rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let [trusted, untrusted] = [("trusted", &server), ("untrusted", &stranger)].map(|(name, identity)| {
        let path = folder.path().join(name);
        std::fs::write(&path, identity.cert.pem()).unwrap();
        path
    });
    let address = plain.split(['@', '/']).nth(3).unwrap();
    let port = wait(terminate_tls(server, address.to_owned()));
    let url = plain.replace(address, &format!("127.0.0.1:{port}"));

    let migrate = |roots, url: &str| -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_database"));
        program.arg("migrate").env_remove("SSL_CERT_DIR").env("SSL_CERT_FILE", roots);
        program.env("SPIN_VARIABLE_DATABASE_URL", url).output().unwrap()
    };
    let output = migrate(&trusted, &format!("{url}?sslmode=require"));
    assert!(output.status.success(), "{}", said(&output));
    // Also without `sslmode=require`: the server offers TLS, and then the certificate is checked.
    for url in [format!("{url}?sslmode=require"), url] {
        let output = migrate(&untrusted, &url);
        assert!(!output.status.success() && said(&output).contains("certificate"), "{}", said(&output));
    }
}
