//! A client that does one thing at a time and hides nothing: what the server's tests need.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair, RsaPublicKeyComponents,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use test_ca::TestCa;

use crate::web::Web;

/// Any timeout of the client: far above what an honest server needs.
const TIMEOUT: Duration = Duration::from_secs(20);

/// A key that signs requests.
pub(crate) enum Signer {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Signer {
    pub(crate) fn p256() -> Self {
        Self::P256(ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING))
    }

    pub(crate) fn p384() -> Self {
        Self::P384(ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING))
    }

    pub(crate) fn rsa() -> Self {
        Self::Rsa(RsaKeyPair::from_pkcs8(include_bytes!("rsa-2048.pkcs8.der")).unwrap())
    }

    pub(crate) fn alg(&self) -> &'static str {
        match self {
            Self::P256(_) => "ES256",
            Self::P384(_) => "ES384",
            Self::Rsa(_) => "RS256",
        }
    }

    pub(crate) fn jwk(&self) -> Value {
        match self {
            Self::P256(key) => ec_jwk("P-256", key),
            Self::P384(key) => ec_jwk("P-384", key),
            Self::Rsa(key) => {
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = key.public().into();
                json!({"kty": "RSA", "n": BASE64.encode(n), "e": BASE64.encode(e)})
            }
        }
    }

    /// Members of a JWK in order: `serde_json` sorts them, as RFC 7638 wants it.
    pub(crate) fn thumbprint(&self) -> String {
        BASE64.encode(digest(&SHA256, self.jwk().to_string().as_bytes()))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::P256(key) | Self::P384(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

fn ecdsa(algorithm: &'static ring::signature::EcdsaSigningAlgorithm) -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
    EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap()
}

fn ec_jwk(curve: &str, key: &EcdsaKeyPair) -> Value {
    let point = &key.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    json!({"kty": "EC", "crv": curve, "x": BASE64.encode(x), "y": BASE64.encode(y)})
}

/// A reply as it came.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The problem's type, shortened.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status);
        json["type"].as_str().unwrap().strip_prefix("urn:ietf:params:acme:error:").unwrap().to_owned()
    }

    pub(crate) fn links(&self, relation: &str) -> Vec<String> {
        let end = format!(">;rel=\"{relation}\"");
        let links = self.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("link"));
        links.filter_map(|(_, v)| Some(v.strip_prefix('<')?.strip_suffix(&end)?.to_owned())).collect()
    }
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

pub(crate) struct Client {
    pub(crate) key: Signer,
    pub(crate) kid: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) directory: Value,
    /// For the next requests.
    pub(crate) user_agent: Option<&'static str>,
    pub(crate) content_type: &'static str,
    pub(crate) timeout: Duration,
    directory_url: String,
    tls: Arc<ClientConfig>,
    stream: Option<Stream>,
}

impl Client {
    /// Without any request.
    pub(crate) fn new(ca: &TestCa, key: Signer) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.root_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            key,
            kid: None,
            nonce: None,
            directory: Value::Null,
            user_agent: Some("test"),
            content_type: "application/jose+json",
            timeout: TIMEOUT,
            directory_url: ca.directory_url(),
            tls: Arc::new(tls),
            stream: None,
        }
    }

    /// With directory and account.
    pub(crate) fn registered(ca: &TestCa) -> Self {
        let mut client = Self::new(ca, Signer::p256());
        client.fetch_directory();
        assert_eq!(client.register().status, 201);
        client
    }

    pub(crate) fn fetch_directory(&mut self) -> Response {
        let url = self.directory_url.clone();
        let response = self.request("GET", &url, b"").unwrap();
        if response.status == 200 {
            self.directory = response.json();
        }
        response
    }

    pub(crate) fn register(&mut self) -> Response {
        let response =
            self.post("newAccount", &json!({"termsOfServiceAgreed": true, "contact": ["mailto:a@b.example"]}));
        self.kid = response.header("location").map(str::to_owned);
        response
    }

    /// A URL, or the name of one in the directory.
    pub(crate) fn url(&self, url: &str) -> String {
        self.directory[url].as_str().unwrap_or(url).to_owned()
    }

    pub(crate) fn nonce(&mut self) -> String {
        if let Some(nonce) = self.nonce.take() {
            return nonce;
        }
        let url = self.url("newNonce");
        let response = self.request("HEAD", &url, b"").unwrap();
        assert_eq!(response.status, 200);
        self.nonce.take().unwrap()
    }

    /// The header that a request should have.
    pub(crate) fn protected(&mut self, url: &str) -> Value {
        let mut header = json!({"alg": self.key.alg(), "nonce": self.nonce(), "url": url});
        match &self.kid {
            Some(kid) => header["kid"] = kid.clone().into(),
            None => header["jwk"] = self.key.jwk(),
        }
        header
    }

    pub(crate) fn sign(&self, protected: &Value, payload: &[u8]) -> Value {
        sign(&self.key, protected, payload)
    }

    pub(crate) fn post(&mut self, url: &str, payload: &Value) -> Response {
        self.try_post(url, payload.to_string().as_bytes()).unwrap()
    }

    /// POST-as-GET.
    pub(crate) fn get(&mut self, url: &str) -> Response {
        self.try_post(url, b"").unwrap()
    }

    pub(crate) fn try_post(&mut self, url: &str, payload: &[u8]) -> io::Result<Response> {
        let url = self.url(url);
        let protected = self.protected(&url);
        let body = self.sign(&protected, payload).to_string();
        self.request("POST", &url, body.as_bytes())
    }

    /// Sends a request over the connection kept, or a new one.
    pub(crate) fn request(&mut self, method: &str, url: &str, body: &[u8]) -> io::Result<Response> {
        let rest = url.strip_prefix("https://").unwrap();
        let (host, path) = rest.split_at(rest.find('/').unwrap());
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n", body.len());
        if let Some(agent) = self.user_agent {
            head.push_str(&format!("User-Agent: {agent}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Type: {}\r\n", self.content_type));
        }
        head.push_str("\r\n");
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.connect(host)?,
        };
        stream.sock.set_read_timeout(Some(self.timeout))?;
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let (response, keep) = read_response(&mut stream, method == "HEAD")?;
        if keep {
            self.stream = Some(stream);
        }
        self.nonce = response.header("replay-nonce").map(str::to_owned);
        Ok(response)
    }

    fn connect(&self, host: &str) -> io::Result<Stream> {
        let name = host.rsplit_once(':').unwrap().0.to_owned();
        let socket = TcpStream::connect(host)?;
        socket.set_nodelay(true)?;
        let connection = ClientConnection::new(Arc::clone(&self.tls), ServerName::try_from(name).unwrap());
        Ok(StreamOwned::new(connection.map_err(io::Error::other)?, socket))
    }

    /// Orders a certificate for `names` and answers its challenges at `web`; the order's URL and what it then says.
    pub(crate) fn ready_order(&mut self, names: &[&str], web: &Web) -> (String, Value) {
        let created = self.order(names);
        assert_eq!(created.status, 201, "{}", created.text());
        let url = created.header("location").unwrap().to_owned();
        for authz in created.json()["authorizations"].as_array().unwrap() {
            let authz = authz.as_str().unwrap();
            assert_eq!(self.answer(authz, web)["status"], "valid");
        }
        let order = self.get(&url).json();
        assert_eq!(order["status"], "ready");
        (url, order)
    }

    pub(crate) fn order(&mut self, names: &[&str]) -> Response {
        let identifiers: Vec<Value> = names.iter().map(|name| json!({"type": "dns", "value": name})).collect();
        self.post("newOrder", &json!({"identifiers": identifiers}))
    }

    /// Answers the http-01 challenge of an authorization and polls it until it is decided.
    pub(crate) fn answer(&mut self, authz: &str, web: &Web) -> Value {
        let json = self.get(authz).json();
        let challenge = http_01(&json);
        let token = challenge["token"].as_str().unwrap();
        web.put(token, &format!("{token}.{}", self.key.thumbprint()));
        let url = challenge["url"].as_str().unwrap();
        assert_eq!(self.post(url, &json!({})).status, 200);
        self.poll(authz, "pending")
    }

    /// Asks until the status is another than `while_`.
    pub(crate) fn poll(&mut self, url: &str, while_: &str) -> Value {
        for _ in 0..2000 {
            let json = self.get(url).json();
            if json["status"] != while_ {
                return json;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        panic!("{url} stays {while_}");
    }

    /// Finalizes an order with a new key; that key, and the reply.
    pub(crate) fn finalize(&mut self, order: &Value, names: &[&str]) -> (KeyPair, Response) {
        let key = KeyPair::generate().unwrap();
        let response = self.finalize_with(order, &csr(names, &key));
        (key, response)
    }

    pub(crate) fn finalize_with(&mut self, order: &Value, csr: &[u8]) -> Response {
        let url = order["finalize"].as_str().unwrap();
        self.post(url, &json!({"csr": BASE64.encode(csr)}))
    }

    /// The whole of it: the certificate's key and chain (PEM).
    pub(crate) fn issue(&mut self, names: &[&str], web: &Web) -> (KeyPair, Response) {
        let (url, order) = self.ready_order(names, web);
        let (key, finalized) = self.finalize(&order, names);
        assert_eq!(finalized.status, 200, "{}", finalized.text());
        let order = self.poll(&url, "processing");
        assert_eq!(order["status"], "valid");
        (key, self.get(order["certificate"].as_str().unwrap()))
    }
}

/// A flattened JWS.
pub(crate) fn sign(key: &Signer, protected: &Value, payload: &[u8]) -> Value {
    let (protected, payload) = (BASE64.encode(protected.to_string()), BASE64.encode(payload));
    let signature = BASE64.encode(key.sign(format!("{protected}.{payload}").as_bytes()));
    json!({"protected": protected, "payload": payload, "signature": signature})
}

pub(crate) fn http_01(authz: &Value) -> Value {
    let challenges = authz["challenges"].as_array().unwrap();
    challenges.iter().find(|challenge| challenge["type"] == "http-01").unwrap().clone()
}

/// A request without common name.
pub(crate) fn csr(names: &[&str], key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.serialize_request(key).unwrap().der().to_vec()
}

/// The response, and whether the connection can be kept.
fn read_response(stream: &mut Stream, without_body: bool) -> io::Result<(Response, bool)> {
    let mut bytes = Vec::new();
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 512];
        let mut parsed = httparse::Response::new(&mut headers);
        let head = parsed.parse(&bytes).map_err(io::Error::other)?;
        if let httparse::Status::Complete(head) = head {
            let headers = parsed
                .headers
                .iter()
                .map(|h| (h.name.to_owned(), String::from_utf8(h.value.to_vec()).unwrap()))
                .collect();
            let mut response = Response { status: parsed.code.unwrap(), headers, body: bytes.split_off(head) };
            if response.header("transfer-encoding") == Some("chunked") {
                read_chunks(stream, &mut response.body)?;
            } else if !without_body && response.status != 204 {
                let length = response.header("content-length").unwrap().parse().unwrap();
                while response.body.len() < length {
                    read_more(stream, &mut response.body)?;
                }
            }
            let keep = response.header("connection") != Some("close");
            return Ok((response, keep));
        }
        read_more(stream, &mut bytes)?;
    }
}

fn read_chunks(stream: &mut Stream, body: &mut Vec<u8>) -> io::Result<()> {
    let mut rest = std::mem::take(body);
    loop {
        let parsed = httparse::parse_chunk_size(&rest).map_err(|_| io::Error::other("no chunk size"))?;
        if let httparse::Status::Complete((start, size)) = parsed {
            let end = start + usize::try_from(size).unwrap();
            if rest.len() >= end + 2 {
                assert_eq!(&rest[end..end + 2], b"\r\n");
                body.extend_from_slice(&rest[start..end]);
                rest.drain(..end + 2);
                if size == 0 {
                    return Ok(());
                }
                continue;
            }
        }
        read_more(stream, &mut rest)?;
    }
}

fn read_more(stream: &mut Stream, into: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 16_384];
    match stream.read(&mut chunk)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        n => {
            into.extend_from_slice(&chunk[..n]);
            Ok(())
        }
    }
}
