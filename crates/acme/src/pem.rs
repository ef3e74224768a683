//! Certificate chains as they are downloaded: PEM (RFC 8555 section 9.1, RFC 7468).

use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The most certificates in one chain.
pub(crate) const MAX_CERTIFICATES: usize = 16;

/// The chain in its strict form: certificates only, lines of 64 characters, each ended by one line feed.
///
/// White space around lines and blank lines between the certificates are overlooked; anything else that is not a
/// certificate, a private key above all, is an error. The certificates are taken to be DER of the right length; whether
/// they are what was asked for is for others to check.
pub(crate) fn strict_chain(text: &[u8]) -> Result<Vec<u8>, &'static str> {
    let text = core::str::from_utf8(text).map_err(|_| "not text")?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut out = Vec::new();
    let mut count = 0;
    while let Some(line) = lines.next() {
        if line != BEGIN {
            return Err(if line.starts_with("-----BEGIN ") {
                "something that is not a certificate is among the certificates"
            } else {
                "not a chain of PEM certificates"
            });
        }
        count += 1;
        if count > MAX_CERTIFICATES {
            return Err("more than 16 certificates");
        }
        let base64 = body(&mut lines)?;
        let der = STANDARD.decode(base64).map_err(|_| "a certificate is not valid base64")?;
        if !is_one_sequence(&der) {
            return Err("a certificate is not DER, or cut short");
        }
        write(&mut out, &der);
    }
    if count == 0 { Err("no certificate in it") } else { Ok(out) }
}

fn body<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Result<String, &'static str> {
    let mut body = String::new();
    for line in lines {
        if line == END {
            return Ok(body);
        }
        body.push_str(line);
    }
    Err("the last certificate has no end")
}

/// A SEQUENCE whose length is exactly that of what is there (X.690 section 8.1.3).
fn is_one_sequence(der: &[u8]) -> bool {
    let Some(([0x30, first], rest)) = der.split_first_chunk() else { return false };
    if *first < 0x80 {
        return rest.len() == usize::from(*first);
    }
    let size = usize::from(first & 0x7f);
    match rest.split_at_checked(size) {
        Some((length, content)) if (1..=3).contains(&size) => {
            length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)) == content.len()
        }
        _ => false,
    }
}

fn write(out: &mut Vec<u8>, der: &[u8]) {
    out.extend_from_slice(BEGIN.as_bytes());
    out.push(b'\n');
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(END.as_bytes());
    out.push(b'\n');
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;

    fn block(content: usize) -> String {
        let mut der = vec![0x30, 0x82, u8::try_from(content >> 8).unwrap(), u8::try_from(content & 0xff).unwrap()];
        der.resize(content + 4, 7);
        let mut out = Vec::new();
        write(&mut out, &der);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lenient_in_strict_out() {
        let (a, b) = (block(700), block(301));
        let chain = format!("{a}{b}");
        assert_eq!(strict_chain(chain.as_bytes()).unwrap(), chain.as_bytes());
        let loose = format!("\n{}\r\n\r\n{}  ", a.replace('\n', "\r\n"), b.trim_end());
        assert_eq!(strict_chain(loose.as_bytes()).unwrap(), chain.as_bytes());
        assert!(chain.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn nothing_but_certificates() {
        let cert = block(200);
        let key = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
        for bad in [
            String::new(),
            "<html>".into(),
            format!("{cert}{key}"),
            format!("{key}{cert}"),
            format!("subject=x\n{cert}"),
            format!("{cert}trailing"),
            cert.replace("END", "END OF"),
            cert.replace(END, ""),
            cert.replace("BwcH", "Bw!H"),
            format!("{BEGIN}\n{END}\n"),
            format!("{BEGIN}\nMAMCAQ==\n{END}\n"),
            format!("{BEGIN}\nMAECAQ==\n{END}\n"),
            format!("{BEGIN}\nMIA=\n{END}\n"),
            cert.repeat(17),
        ] {
            assert!(strict_chain(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(strict_chain(&[0xff, 0xfe]).is_err());
        assert!(strict_chain(cert.repeat(16).as_bytes()).is_ok());
    }
}
