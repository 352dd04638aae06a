"""``shelfvision password`` prints what the site file wants."""

import subprocess
import sys

from shelfvision.config import UserSection
from shelfvision.service.passwords import password_fits


def run(text):
    command = [sys.executable, "-m", "shelfvision", "password"]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)


def test_the_printed_hash_fits_the_password_and_the_site_file():
    done = run("correct horse\n")
    assert done.returncode == 0
    user = UserSection(name="Anna", password_hash=done.stdout.strip())
    assert password_fits("correct horse", user.password_hash.get_secret_value())
    assert "correct horse" not in repr(user) + done.stdout
    assert user.password_hash.get_secret_value() not in repr(user)


def test_a_short_password_is_refused_in_one_line():
    done = run("short\n")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: the password has 5 characters; give at least 8\n"
