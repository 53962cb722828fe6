package sqlitestore

import "testing"

func TestNetworkFS(t *testing.T) {
	for magic, want := range map[uint32]string{
		0x6969: "NFS", 0xff534d42: "CIFS", 0x0bd00bd0: "Lustre", 0x65735546: "FUSE",
		0xef53: "", 0x01021994: "", 0x58465342: "", 0x794c7630: "", // ext4, tmpfs, XFS, overlay
	} {
		if got := networkFSName(magic); got != want {
			t.Errorf("%#x is %q, want %q", magic, got, want)
		}
	}
	if name, err := networkFS(t.TempDir()); err != nil || name != "" {
		t.Errorf("the folder for temporary files lies on %q, %v", name, err)
	}
	if _, err := networkFS("/does/not/exist"); err == nil {
		t.Error("no error for a folder that is not there")
	}
}
