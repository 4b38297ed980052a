//! Secrets in commands are masked, everything else stays.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use proptest::prelude::*;
use warden_rules::mask::Masker;
use warden_session::command::{Command, Confidence, Origin};
use warden_session::shell::{Dialect, parse};

/// A command line, and the secrets in it; `mask_lines.tsv` holds more, one a line, the secrets after tabs.
const SECRET: &[(&str, &[&str])] = &[
    ("mysql -u root -pHunter2x shop", &["Hunter2x"]),
    ("mysqldump --password=Tr0ub4dor --all-databases > d.sql", &["Tr0ub4dor"]),
    ("mysql -uroot -p'a b c' -e 'show tables'", &["a b c"]),
    ("sudo mysqladmin -u root -pOldOne password N3wOne", &["OldOne", "N3wOne"]),
    ("docker exec -it db mysql -uroot -pS3cr3tRoot", &["S3cr3tRoot"]),
    ("ssh web1 'mysql -u app -pQuot3dPw app'", &["Quot3dPw"]),
    ("bash -c \"mysqldump -pN3stedPw db | gzip\"", &["N3stedPw"]),
    ("mysql --password=\"two words\" -h db", &["two words"]),
    ("mysql --password='half'\"quoted\" -h db", &["half", "quoted"]),
    ("tool --password h0ldThis --verbose", &["h0ldThis"]),
    ("tool --password\\ =odd0ne", &["odd0ne"]),
    ("tool --db-password=abc/def==", &["abc/def=="]),
    ("sshpass -p 'Sp4ss' ssh admin@10.0.0.5", &["Sp4ss"]),
    ("sshpass -pSp4ss2 scp f admin@h:/tmp", &["Sp4ss2"]),
    ("curl -u admin:Pa55w0rd https://h/api", &["Pa55w0rd"]),
    ("curl -su 'admin:Pa 55' https://h/api", &["Pa 55"]),
    ("curl --user admin:Pa55w0rd https://h/api", &["Pa55w0rd"]),
    ("curl --user=admin:Pa55w0rd https://h/api", &["Pa55w0rd"]),
    ("curl -x http://p:3128 -U px:pr0xyPw https://h", &["pr0xyPw"]),
    ("curl -H 'Authorization: Bearer abc.def.ghi' https://h", &["abc.def.ghi"]),
    ("curl -H \"Authorization: Basic dXNlcjpwYXNz\" https://h", &["dXNlcjpwYXNz"]),
    ("curl -H 'authorization: token 0123456789abcdef' https://h", &["0123456789abcdef"]),
    ("curl -H\"X-Api-Key: k3y-value-1\" https://h", &["k3y-value-1"]),
    ("curl --header 'X-Vault-Token: s.abcdef' https://h", &["s.abcdef"]),
    ("curl --header='Private-Token: glp-x-y' https://h", &["glp-x-y"]),
    ("curl -b 'session=deadbeef; x=1' https://h", &["deadbeef"]),
    ("curl -H 'Cookie: sid=deadbeef00' https://h", &["deadbeef00"]),
    ("curl --oauth2-bearer 0auth2Bear https://h", &["0auth2Bear"]),
    ("curl -d 'user=bob&password=f0rmPw&x=1' https://h/login", &["f0rmPw"]),
    ("curl --data-urlencode 'client_secret=c1ient' https://h/t", &["c1ient"]),
    ("curl -d '{\"user\":\"bob\",\"password\":\"js0nPw\"}' https://h/login", &["js0nPw"]),
    ("curl -d \"{\\\"password\\\": \\\"esc4ped\\\"}\" https://h/login", &["esc4ped"]),
    ("curl -F 'token=f1eldTok' -F file=@x https://h", &["f1eldTok"]),
    ("wget --http-password=wgetPw --http-user=u https://h/f", &["wgetPw"]),
    ("wget --header='Authorization: Bearer wgetTok' https://h/f", &["wgetTok"]),
    ("git clone https://bob:gitPw123@github.com/o/r.git", &["gitPw123"]),
    ("git clone https://oauth2:glpat-ABCDEFGHIJ0123456789@gitlab.com/o/r", &["glpat-ABCDEFGHIJ0123456789"]),
    (
        "git remote add o https://ghp_abcdefghijklmnopqrstuvwxyz0123456789@github.com/o/r",
        &["ghp_abcdefghijklmnopqrstuvwxyz0123456789"],
    ),
    ("psql postgresql://app:pgUrlPw@db:5432/app", &["pgUrlPw"]),
    ("psql 'host=db user=app password=pgC0nn dbname=x'", &["pgC0nn"]),
    ("PGPASSWORD=pgEnv psql -h db -U app", &["pgEnv"]),
    ("PGPASSWORD='pg env 2' pg_dump app", &["pg env 2"]),
    ("redis-cli -a r3disPw ping", &["r3disPw"]),
    ("redis-cli -u redis://:r3disUrl@cache:6379/0", &["r3disUrl"]),
    ("mongosh -u admin -p m0ngoPw --authenticationDatabase admin", &["m0ngoPw"]),
    ("mongodump --uri 'mongodb+srv://u:m0ngoUri@c.example.net/db'", &["m0ngoUri"]),
    ("export DB_PASSWORD=exp0rted", &["exp0rted"]),
    ("export API_KEY='key with blank'", &["key with blank"]),
    ("SECRET_TOKEN=t0ken1 GITHUB_TOKEN=t0ken2 make deploy", &["t0ken1", "t0ken2"]),
    ("env MYSQL_PWD=envPw mysql -u root", &["envPw"]),
    ("docker run -e POSTGRES_PASSWORD=dockerPw -d postgres", &["dockerPw"]),
    ("docker run --env=JWT_SECRET=jwtS3c app", &["jwtS3c"]),
    ("docker login -u bob -p d0ckerPw registry.example.com", &["d0ckerPw"]),
    ("echo d0ckerStdin | docker login -u bob --password-stdin", &["d0ckerStdin"]),
    ("kubectl create secret docker-registry r --docker-password=regPw --docker-username=u", &["regPw"]),
    ("kubectl create secret generic s --from-literal=user=liter4l", &["liter4l"]),
    ("kubectl create secret generic s --from-literal key=liter4l2", &["liter4l2"]),
    ("helm install x chart --set auth.password=helmPw", &["helmPw"]),
    (
        "aws configure set aws_secret_access_key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        &["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"],
    ),
    ("aws configure set aws_access_key_id AKIAIOSFODNN7EXAMPLE", &["AKIAIOSFODNN7EXAMPLE"]),
    (
        "export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        &["wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"],
    ),
    (
        "export AWS_SESSION_TOKEN=IQoJb3JpZ2luX2VjEXAMPLETOKEN//////////wEa",
        &["IQoJb3JpZ2luX2VjEXAMPLETOKEN//////////wEa"],
    ),
    ("export AWS_ACCESS_KEY_ID=ASIAIOSFODNN7EXAMPLE", &["ASIAIOSFODNN7EXAMPLE"]),
    ("aws secretsmanager put-secret-value --secret-id prod/db --secret-string 'st0red'", &["st0red"]),
    ("aws secretsmanager create-secret --name n --secret-string '{\"password\":\"st0red2\"}'", &["st0red2"]),
    ("aws ssm put-parameter --name /p --value s3cureStr --type SecureString", &["s3cureStr"]),
    ("aws ssm put-parameter --type=SecureString --value=s3cureStr2 --name /p", &["s3cureStr2"]),
    ("aws rds modify-db-instance --db-instance-identifier d --master-user-password m4ster", &["m4ster"]),
    ("aws iam create-login-profile --user-name bob --password L0gin!prof", &["L0gin!prof"]),
    (
        "aws lambda update-function-configuration --function-name f --environment 'Variables={DB_PASSWORD=l4mbda,A=b}'",
        &["l4mbda"],
    ),
    (
        "curl 'https://b.s3.amazonaws.com/k?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20&X-Amz-Signature=aabbccdd00112233'",
        &["aabbccdd00112233", "AKIAIOSFODNN7EXAMPLE"],
    ),
    ("curl 'https://h/x?token=qu3ryTok&sig=s1gnature&a=b'", &["qu3ryTok", "s1gnature"]),
    (
        "curl 'https://maps.example/api?key=AIzaSyA-1234567890abcdefghijklmnopqrstu'",
        &["AIzaSyA-1234567890abcdefghijklmnopqrstu"],
    ),
    (
        "echo eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl > t",
        &["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"],
    ),
    ("curl -d @x https://hooks.slack.com/services/T000/B000/XXXXabcdef", &["T000/B000/XXXXabcdef"]),
    ("slackcat --x xoxb-123456789012-abcdefABCDEF", &["xoxb-123456789012-abcdefABCDEF"]),
    // Joined here, for scanners of public repositories take the whole for a real key.
    (
        concat!("stripe listen --api-key sk_", "live_abcdefghij0123456789"),
        &[concat!("sk_", "live_abcdefghij0123456789")],
    ),
    (
        "npm config set //registry.npmjs.org/:_authToken npm_abcdefghijklmnopqrstuvwxyz0123456789",
        &["npm_abcdefghijklmnopqrstuvwxyz0123456789"],
    ),
    ("npm config set //registry.example/:_authToken pl4inTok", &["pl4inTok"]),
    ("twine upload -u __token__ -p pypi-AgEIcHlwaS5vcmcCJGFiY2Q dist/x", &["pypi-AgEIcHlwaS5vcmcCJGFiY2Q"]),
    (
        "gh auth login --with-token <<< gho_abcdefghijklmnopqrstuvwxyz0123456789",
        &["gho_abcdefghijklmnopqrstuvwxyz0123456789"],
    ),
    ("gh secret set NAME --body b0dySecret", &["b0dySecret"]),
    (
        "echo '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXkt\nAAAA\n-----END OPENSSH PRIVATE KEY-----' > k",
        &["b3BlbnNzaC1rZXkt"],
    ),
    ("cat > k.pem <<EOF\n-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nEOF", &["MIIEpAIBAAKCAQEA7"]),
    ("echo 'sud0Pw' | sudo -S id", &["sud0Pw"]),
    ("echo \"sud0Pw2\" | sudo -kS -u root id", &["sud0Pw2"]),
    ("printf '%s\\n' sud0Pw3 | sudo -S id", &["sud0Pw3"]),
    ("sudo -S id <<< sud0Pw4", &["sud0Pw4"]),
    ("echo 'bob:chPw1' | chpasswd", &["chPw1"]),
    ("echo bob:chPw2 | sudo chpasswd", &["chPw2"]),
    ("chpasswd <<EOF\nbob:chPw3\namy:chPw4\nEOF", &["chPw3", "chPw4"]),
    ("echo newPw1 | passwd --stdin bob", &["newPw1"]),
    ("printf 'newPw2\\nnewPw2\\n' | passwd bob", &["newPw2"]),
    ("echo -e 'newPw3\\nnewPw3' | passwd bob", &["newPw3"]),
    ("usermod -p '$6$salt$hAshedv4lue' bob", &["hAshedv4lue"]),
    ("useradd -m -p cr7ptPw bob", &["cr7ptPw"]),
    ("openssl rsa -in k.pem -passin pass:0psslPw -out o.pem", &["0psslPw"]),
    ("openssl enc -aes-256-cbc -k encPw -in f -out g", &["encPw"]),
    ("openssl passwd -6 hashMe1", &["hashMe1"]),
    ("sqlplus system/0racle@orcl", &["0racle"]),
    ("net user bob W1ndows! /add", &["W1ndows!"]),
    ("net use \\\\srv\\share Sh4rePw /user:dom\\bob", &["Sh4rePw"]),
    ("setx DB_PASSWORD setxPw", &["setxPw"]),
    ("$env:API_TOKEN = 'psTok3n'", &["psTok3n"]),
    ("$password = \"psPw\"", &["psPw"]),
    ("ConvertTo-SecureString 'secStr1' -AsPlainText -Force", &["secStr1"]),
    ("$p = ConvertTo-SecureString -String \"secStr2\" -AsPlainText -Force", &["secStr2"]),
    ("New-LocalUser bob -Password (ConvertTo-SecureString 'secStr3' -AsPlainText -Force)", &["secStr3"]),
    ("cmdkey /add:srv /user:bob /pass:cmdK3y", &["cmdK3y"]),
    ("vault login s.abcdefghijklmnopqrstuvwx", &["s.abcdefghijklmnopqrstuvwx"]),
    ("vault login hvs.CAESIabcdefghij", &["hvs.CAESIabcdefghij"]),
    ("vault kv put secret/app value=v4ultVal", &["v4ultVal"]),
    ("export VAULT_TOKEN=hvs.CAESIabcdefghijk", &["hvs.CAESIabcdefghijk"]),
    ("smbclient //srv/share -U bob%smbPw", &["smbPw"]),
    ("smbclient -U 'dom\\bob%smb Pw2' //srv/share", &["smb Pw2"]),
    ("ldapsearch -x -D cn=admin -w ld4pPw -b dc=x", &["ld4pPw"]),
    ("htpasswd -bc /etc/nginx/.htpasswd bob htPw", &["htPw"]),
    ("htpasswd -nbB bob htPw2", &["htPw2"]),
    ("gpg --batch --passphrase gpgPw -d f.gpg", &["gpgPw"]),
    ("echo gpgPw2 | gpg --batch --passphrase-fd 0 -d f.gpg", &["gpgPw2"]),
    ("zip -r -P z1pPw a.zip d", &["z1pPw"]),
    ("7z x a.7z -p7zPw", &["7zPw"]),
    ("unzip -P unz1p a.zip", &["unz1p"]),
    ("ssh-keygen -t ed25519 -N keyPhr4se -f k", &["keyPhr4se"]),
    ("ansible-playbook p.yml -e 'ansible_become_pass=ansPw'", &["ansPw"]),
    ("ansible-playbook p.yml --extra-vars '{\"db_password\": \"ansPw2\"}'", &["ansPw2"]),
    ("ansible-vault encrypt_string 'v4ulted' --name db", &["v4ulted"]),
    ("terraform apply -var 'db_password=tfPw' -auto-approve", &["tfPw"]),
    ("cat > ~/.pgpass <<EOF\ndb:5432:app:bob:pgp4ss\nEOF", &["pgp4ss"]),
    ("echo 'db:5432:*:bob:pgp4ss2' >> ~/.pgpass", &["pgp4ss2"]),
    ("cat > ~/.netrc <<EOF\nmachine h login bob password n3trc\nEOF", &["n3trc"]),
    ("cat >> ~/.aws/credentials <<'EOF'\n[default]\naws_secret_access_key = cr3dFile/+x\nEOF", &["cr3dFile/+x"]),
    ("cat > .env <<EOF\nDB_PASSWORD=envF1le\nSMTP_PASS=\"env F1le2\"\nEOF", &["envF1le", "env F1le2"]),
    ("cat > c.yml <<EOF\ndb:\n  password: y4mlPw\nEOF", &["y4mlPw"]),
    ("psql -c \"ALTER USER bob WITH PASSWORD 'sqlPw'\"", &["sqlPw"]),
    ("mysql -e \"CREATE USER 'b'@'%' IDENTIFIED BY 'sqlPw2'\"", &["sqlPw2"]),
    ("mysql -e \"SET PASSWORD FOR 'b'@'%' = PASSWORD('sqlPw3')\"", &["sqlPw3"]),
    ("sqlcmd -S srv -U sa -P sqlcmdPw -Q 'select 1'", &["sqlcmdPw"]),
    ("rabbitmqctl add_user bob r4bbit", &["r4bbit"]),
    ("mount -t cifs //s/h /m -o username=bob,password=m0untPw,vers=3", &["m0untPw"]),
    ("lftp -u bob,lftpPw ftp.example.com", &["lftpPw"]),
    ("python3 psexec.py corp/bob:1mpacket@10.0.0.1", &["1mpacket"]),
    ("xfreerdp /u:bob /p:rdpPw /v:h", &["rdpPw"]),
    ("ipmitool -H h -U a -P 1pmiPw power status", &["1pmiPw"]),
    ("az login -u bob -p azPw1", &["azPw1"]),
    ("az storage blob list --account-key azKey+/abc==", &["azKey+/abc=="]),
    ("java -Dspring.datasource.password=javaPw -jar a.jar", &["javaPw"]),
    ("keytool -list -keystore k.jks -storepass st0rePw", &["st0rePw"]),
    ("fish -c 'set -x DB_PASSWORD fishPw'", &["fishPw"]),
    ("nmcli dev wifi connect home password w1fiPw", &["w1fiPw"]),
    ("echo s3fsId:s3fsKey > ~/.passwd-s3fs", &["s3fsKey"]),
    ("heroku config:set SECRET_KEY=her0ku", &["her0ku"]),
    ("Set-AWSCredential -AccessKey AKIAIOSFODNN7EXAMPLE -SecretKey awsPsKey", &["awsPsKey"]),
    ("http POST h/api Authorization:'Bearer httpieTok'", &["httpieTok"]),
    ("sudo sh -c 'echo r00tPw | passwd --stdin root'", &["r00tPw"]),
    ("ssh h \"export TOKEN=remot3; ./run\"", &["remot3"]),
    ("x=$(curl -s -u bob:subst1 https://h)", &["subst1"]),
    ("TOKEN='$notAVariable' ./run", &["$notAVariable"]),
    ("tool --password pa\\$\\$word1", &["pa$$word1", "pa\\$\\$word1"]),
];

/// Lines that hold no secret.
const PLAIN: &[&str] = &[
    "mkdir -p dir",
    "cp -p a b",
    "ssh -p 22 host",
    "ps -p 1",
    "nc -l -p 4444",
    "git commit -m \"password: fix\"",
    "git commit -m 'token: rotate the old ones'",
    "grep password file",
    "grep -rn \"password=\" /etc",
    "grep -i 'secret' config.yml",
    "cat /etc/passwd",
    "passwd bob",
    "sudo passwd root",
    "mysql -u root -p",
    "mysql -u root -p shop",
    "mysql --password shop",
    "mysql -P 3306 -h db",
    "psql -p 5432 -W app",
    "psql -h db -U app -d app",
    "docker run -p 80:80 nginx",
    "docker login --username bob --password-stdin",
    "cat pw.txt | docker login -u bob --password-stdin",
    "redis-cli -p 6379 ping",
    "mysql -u root -p\"$DB_PASSWORD\" shop",
    "export DB_PASSWORD=$(cat /run/secrets/db)",
    "export TOKEN=\"$OTHER\"",
    "export DB_PASSWORD",
    "unset DB_PASSWORD",
    "PGPASSWORD=$PW psql -h db",
    "curl -u bob https://h",
    "curl -u \"$USER:$PASS\" https://h",
    "curl -H \"Authorization: Bearer $TOKEN\" https://h",
    "curl -H 'Content-Type: application/json' https://h",
    "curl -H 'Accept: */*' -b cookies.txt https://h",
    "curl https://user@host/path",
    "curl 'https://h/x?page=2&sort=key'",
    "git clone https://github.com/o/r.git",
    "git clone git@github.com:o/r.git",
    "tool --password-file /run/secrets/x",
    "tool --password",
    "tool --password=",
    "tool --password <password>",
    "tool --token \"${TOKEN}\"",
    "tool --no-password -v",
    "aws secretsmanager get-secret-value --secret-id prod/db",
    "aws ssm put-parameter --name /p --value plain --type String",
    "aws ssm get-parameter --name /p --with-decryption",
    "aws secretsmanager put-secret-value --secret-id x --secret-string file://s.json",
    "aws ec2 create-key-pair --key-name web",
    "aws kms encrypt --key-id alias/x --plaintext fileb://f",
    "aws dynamodb get-item --table-name t --key file://k.json",
    "kubectl get secret db-password -o yaml",
    "kubectl create secret generic s --from-file=./key.pem",
    "vault kv get secret/app",
    "vault login -method=userpass username=bob",
    "openssl rsa -in k.pem -passin env:PW -out o.pem",
    "openssl req -new -key server.key -out s.csr",
    "ssh -i ~/.ssh/id_ed25519 bob@h",
    "ssh-keygen -t ed25519 -N \"\" -f k",
    "ssh-keygen -t rsa -f /root/.ssh/id_rsa",
    "htpasswd -c /etc/nginx/.htpasswd bob",
    "zip -r a.zip dir",
    "unzip -p a.zip f",
    "7z a a.7z dir",
    "tar -xpf a.tar",
    "net user bob",
    "net user bob /delete",
    "$x = Get-Content C:\\pw.txt",
    "$password = Read-Host -AsSecureString",
    "Get-Process | Where-Object { $_.Name -eq 'x' }",
    "ls token secret password",
    "find / -name '*password*'",
    "find . -name \"*.key\" -o -name id_rsa",
    "chmod 600 ~/.pgpass",
    "echo hello | sudo tee /etc/motd",
    "echo \"the password is in the vault\"",
    "read -s -p \"Password: \" PW",
    "ansible-playbook p.yml --ask-become-pass",
    "ansible-playbook p.yml --vault-password-file ~/.vp",
    "terraform plan -var-file=prod.tfvars",
    "gcloud secrets versions access latest --secret=db",
    "docker build --secret id=npm,src=.npmrc .",
    "KEY_FILE=/etc/ssl/k.pem ./run",
    "SSH_PRIVATE_KEY=~/.ssh/id_rsa ./run",
    "export PATH=/usr/local/bin:$PATH",
    "sort -t: -k3 /etc/passwd",
    "cut -d: -f1 /etc/passwd",
    "systemctl restart sshd",
    "awk -F: '{print $1}' /etc/passwd",
    "sed -i 's/#PasswordAuthentication yes/PasswordAuthentication no/' /etc/ssh/sshd_config",
    "python3 -m http.server 8000",
    "base64 -d file",
    "useradd -m bob",
    "ldapsearch -x -W -D cn=admin -b dc=x",
    "mongosh --port 27017",
    "sqlplus / as sysdba",
    "curl -d @body.json https://h",
    "cat > a.yml <<EOF\nname: web\nport: 80\nEOF",
];

fn masker() -> &'static Masker {
    static MASKER: OnceLock<Masker> = OnceLock::new();
    MASKER.get_or_init(|| Masker::new(b"test key"))
}

fn command(text: &str) -> Command {
    Command {
        n: 0,
        text: text.to_owned(),
        at: None,
        prompt: None,
        origin: Origin::Screen,
        confidence: Confidence::High,
        offset: 0..1,
        marks: BTreeSet::new(),
        hidden_input: Vec::new(),
        user: None,
        cwd: None,
        invocations: parse(text, Dialect::Posix).invocations,
    }
}

/// A short secret may be part of an ordinary word.
fn leaks_in(output: &str, secret: &str) -> bool {
    let apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
    output.match_indices(secret).any(|(at, _)| {
        let after = output[at + secret.len()..].chars().next();
        secret.len() > 3 || (apart(output[..at].chars().next_back()) && apart(after))
    })
}

#[test]
fn no_secret_is_left() {
    let masker = masker();
    let mut leaks = Vec::new();
    let more = include_str!("mask_lines.tsv").lines().map(|row| {
        let mut fields = row.split('\t');
        (fields.next().unwrap(), fields.collect::<Vec<_>>())
    });
    for (line, secrets) in SECRET.iter().map(|(line, secrets)| (*line, secrets.to_vec())).chain(more) {
        let whole = command(line);
        let known = masker.secrets_of(&whole);
        let shown = known.command(&whole);
        let joined = whole.invocations.iter().map(|i| known.mask(&i.command_line()).text);
        let argv = shown.invocations.iter().map(|i| i.argv.join(" "));
        let alone = masker.mask(line).into_owned();
        let outputs: Vec<String> = [shown.text.clone(), alone].into_iter().chain(joined).chain(argv).collect();
        for secret in secrets {
            for output in outputs.iter().filter(|output| leaks_in(output, secret)) {
                leaks.push(format!("{secret} in: {output}"));
            }
        }
        if !shown.text.contains("[masked ") {
            leaks.push(format!("nothing masked in: {}", shown.text));
        }
    }
    assert_eq!(leaks, Vec::<String>::new(), "{}", leaks.join("\n"));
}

#[test]
fn the_rest_stays() {
    let masker = masker();
    let changed: Vec<String> = PLAIN
        .iter()
        .map(|line| masker.mask(line).into_owned())
        .zip(PLAIN)
        .filter(|(masked, line)| masked != *line)
        .map(|(masked, _)| masked)
        .collect();
    assert_eq!(changed, Vec::<String>::new(), "{}", changed.join("\n"));
    for line in PLAIN {
        let whole = command(line);
        assert_eq!(masker.secrets_of(&whole).command(&whole), whole, "{line}");
    }
}

#[test]
fn a_mask_keeps_length_and_digest() {
    let masker = masker();
    let token = masker.token("hunter2");
    assert_eq!(masker.mask("sshpass -p hunter2 ssh h"), format!("sshpass -p {token} ssh h"));
    assert_eq!(masker.mask("sshpass -p 'hunter2' ssh h"), format!("sshpass -p '{token}' ssh h"));
    assert!(token.starts_with("[masked 7 #"), "{token}");
    assert_eq!(token.len(), "[masked 7 #123456]".len());
    assert_ne!(token, Masker::new(b"other key").token("hunter2"));
    assert_eq!(masker.mask(&masker.mask("sshpass -p hunter2 ssh h")), masker.mask("sshpass -p hunter2 ssh h"));
    // RFC 4231, test case 2: key "Jefe", data "what do ya want for nothing?".
    assert_eq!(Masker::new(b"Jefe").token("what do ya want for nothing?"), "[masked 28 #5bdcc1]");
}

#[test]
fn spans_move_with_the_text() {
    let line = "mysql -pHunter2 shop";
    let masked = masker().mask_spans(line);
    let shown = |range: std::ops::Range<usize>| masked.text.get(masked.map(range)).unwrap().to_owned();
    assert_eq!(shown(0..5), "mysql");
    assert_eq!(shown(16..20), "shop");
    assert_eq!(shown(9..12), masker().token("Hunter2"));
    assert_eq!(shown(0..20), masked.text);
    assert_eq!(shown(6..10), format!("-p{}", masker().token("Hunter2")));
}

proptest! {
    #[test]
    fn any_text_is_masked(text in "\\PC{0,200}", from in 0_usize..200, len in 0_usize..50) {
        let masked = masker().mask_spans(&text);
        let range = masked.map(from.min(text.len())..(from + len).min(text.len()));
        prop_assert!(range.end <= masked.text.len());
    }

    #[test]
    fn command_like_text_is_masked(words in proptest::collection::vec("(--password|-p|curl|-u|a:b|'|\"|=|x|\\\\|\\$\\(|<<<|<<|\n|\\|| |echo|sudo -S|password: )", 0..40)) {
        masker().mask_spans(&words.concat());
    }
}

#[test]
fn long_text_is_masked_in_time() {
    let masker = masker();
    for piece in [
        "a=",
        "'",
        "\"",
        "\\",
        "password=",
        "://a:",
        "<",
        "<<<",
        "$(",
        "?a=b&",
        "-----BEGIN PRIVATE KEY-----",
        "authorization: ",
        "eyJ",
        "\"a\":\"",
        " x",
        "curl -u a:b\n",
    ] {
        masker.mask(&piece.repeat(200_000 / piece.len()));
    }
}
