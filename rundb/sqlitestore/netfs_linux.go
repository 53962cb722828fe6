package sqlitestore

import (
	"syscall"
)

// networkFS names the network file system that a directory lies on; "" if it is
// a local one.
func networkFS(dir string) (string, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return "", err
	}
	return networkFSName(uint32(st.Type)), nil
}

// networkFSName names a network file system by its magic number, as statfs(2)
// lists them; "" for all others.
func networkFSName(magic uint32) string {
	return map[uint32]string{
		0x6969:     "NFS",
		0x517b:     "SMB",
		0xff534d42: "CIFS",
		0xfe534d42: "SMB2",
		0x0bd00bd0: "Lustre",
		0x47504653: "GPFS",
		0x5346414f: "AFS",
		0x00c36400: "Ceph",
		0x65735546: "FUSE",
		0x01021997: "9p",
		0x19830326: "BeeGFS",
		0x564c:     "NCP",
		0x73757245: "Coda",
	}[magic]
}
